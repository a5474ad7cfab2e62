output "settings" {
  description = "Settings of the tasks, for a machine that is to read or inspect the lake."
  value       = local.settings
}

output "cluster" {
  description = "Where tasks run."
  value       = module.tasks.cluster_arn
}

output "definitions" {
  description = "Task definitions by kind; docs/aws.md has the commands that start one."
  value       = module.tasks.definition_families
}

output "network" {
  description = "Subnets and security group of a task that is started by hand."
  value       = { subnets = module.network.private_subnets, security_group = module.network.task_group }
}

output "reader_roles" {
  description = "Roles that readers assume, by the role of access/roles.yaml."
  value       = module.roles.readers
}

output "secrets" {
  description = "Secrets whose values are put by hand."
  value       = module.secrets.arns
}

output "server" {
  description = "Name of the load balancer, for the DNS entry of the certificate's name."
  value       = one(module.serve[*].address)
}
