output "landing" {
  description = "Bucket of raw objects."
  value       = aws_s3_bucket.this["landing"].id
}

output "lake" {
  description = "Bucket of bronze, quarantine and ledger."
  value       = aws_s3_bucket.this["lake"].id
}

output "published" {
  description = "Buckets of releases, by role."
  value       = { for role in local.roles : role => aws_s3_bucket.this["published-${role}"].id }
}

output "disaster" {
  description = "Buckets of the copies, by what they copy."
  value       = { for name, bucket in aws_s3_bucket.copy : name => bucket.id }
}

output "logs" {
  description = "Bucket of access logs."
  value       = aws_s3_bucket.logs.id
}
