output "arns" {
  description = "The secrets, by setting."
  value       = { for name, secret in aws_secretsmanager_secret.this : name => secret.arn }
}
