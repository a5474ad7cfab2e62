output "data" {
  description = "Key of objects and files."
  value       = aws_kms_key.data.arn
}

output "platform" {
  description = "Key of state, secrets, logs and notices."
  value       = aws_kms_key.platform.arn
}

output "disaster" {
  description = "Key of the copies in the other region."
  value       = aws_kms_key.disaster.arn
}
