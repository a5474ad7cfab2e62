variable "name" {
  description = "Beginning of every name."
  type        = string
}

variable "region" {
  description = "Where the server runs."
  type        = string
}

variable "image" {
  description = "Image with the extra `serve`, by its digest."
  type        = string
}

variable "environment" {
  description = "Settings that are no secrets."
  type        = map(string)
}

variable "secrets" {
  description = "ARNs of secrets, by setting."
  type        = map(string)
}

variable "task_role_arn" {
  description = "What the server may do."
  type        = string
}

variable "execution_arn" {
  description = "Role that starts it."
  type        = string
}

variable "cluster_arn" {
  description = "The cluster."
  type        = string
}

variable "log_group" {
  description = "Its log group."
  type        = string
}

variable "file_system_id" {
  description = "File system of LAKE_HOME."
  type        = string
}

variable "access_point" {
  description = "Folder in it."
  type        = string
}

variable "network_id" {
  description = "The network."
  type        = string
}

variable "subnets" {
  description = "Subnets of load balancer and server."
  type        = list(string)
}

variable "task_group" {
  description = "Security group of tasks."
  type        = string
}

variable "clients_cidr" {
  description = "Addresses that reach the load balancer."
  type        = list(string)
}

variable "certificate_arn" {
  description = "Certificate of the server's name."
  type        = string
}

variable "logs_bucket" {
  description = "Bucket of access logs."
  type        = string
}

variable "protected" {
  description = "Whether the load balancer is protected from deletion."
  type        = bool
}

variable "topic_arn" {
  description = "Topic of alarms."
  type        = string
}
