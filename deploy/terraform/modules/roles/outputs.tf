output "tasks" {
  description = "Roles of tasks, by kind."
  value       = { for kind, role in aws_iam_role.task : kind => role.arn }
}

output "execution" {
  description = "Roles that start tasks, by kind."
  value       = { for kind, role in aws_iam_role.execution : kind => role.arn }
}

output "scheduler" {
  description = "Role of the scheduler."
  value       = aws_iam_role.scheduler.arn
}

output "replication" {
  description = "Role that copies objects."
  value       = aws_iam_role.replication.arn
}

output "readers" {
  description = "Roles of readers, by role of access/roles.yaml."
  value       = { for name, role in aws_iam_role.reader : name => role.arn }
}

output "monitoring" {
  description = "Role of the database's measures."
  value       = aws_iam_role.monitoring.arn
}

output "backup" {
  description = "Role of back-ups."
  value       = aws_iam_role.backup.arn
}
