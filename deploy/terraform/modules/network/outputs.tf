output "id" {
  description = "The network."
  value       = aws_vpc.this.id
}

output "private_subnets" {
  description = "Where tasks, database and files are."
  value       = aws_subnet.private[*].id
}

output "task_group" {
  description = "Security group of tasks."
  value       = aws_security_group.tasks.id
}
