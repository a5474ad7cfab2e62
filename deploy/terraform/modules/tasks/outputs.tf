output "cluster_arn" {
  description = "The cluster."
  value       = aws_ecs_cluster.this.arn
}

output "definition_families" {
  description = "Names of the task definitions, by kind."
  value       = { for kind in var.kinds : kind => "${var.name}-${kind}" }
}

output "log_group_arns" {
  description = "Log groups, by kind."
  value       = { for kind, group in aws_cloudwatch_log_group.this : kind => group.arn }
}

output "log_group_names" {
  description = "Names of the log groups, by kind."
  value       = { for kind, group in aws_cloudwatch_log_group.this : kind => group.name }
}

output "server_log_group" {
  description = "Log group of the server."
  value       = aws_cloudwatch_log_group.this["serve"].name
}

output "dead_letters" {
  description = "Queue of starts that failed."
  value       = aws_sqs_queue.not_started.name
}
