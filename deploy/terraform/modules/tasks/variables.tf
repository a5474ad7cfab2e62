variable "name" {
  description = "Beginning of every name."
  type        = string
}

variable "region" {
  description = "Where tasks run."
  type        = string
}

variable "image" {
  description = "Image by its digest."
  type        = string
}

variable "kinds" {
  description = "Kinds of tasks: cycle, maintenance, stream."
  type        = set(string)
}

variable "size" {
  description = "CPU units, memory in MiB and scratch space in GiB of a cycle."
  type        = object({ cpu = number, memory = number, scratch = number })
}

variable "environment" {
  description = "Settings that are no secrets."
  type        = map(string)
}

variable "secrets" {
  description = "ARNs of secrets by setting, by kind."
  type        = map(map(string))
}

variable "state_secret" {
  description = "Secret with the password of the state."
  type        = string
}

variable "task_roles" {
  description = "What tasks may do, by kind."
  type        = map(string)
}

variable "execution_arns" {
  description = "Roles that start tasks, by kind."
  type        = map(string)
}

variable "scheduler_arn" {
  description = "Role of the scheduler."
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

variable "subnets" {
  description = "Subnets of tasks."
  type        = list(string)
}

variable "security_group" {
  description = "Security group of tasks."
  type        = string
}

variable "key_arn" {
  description = "Key of logs, schedules and messages."
  type        = string
}

variable "schedules" {
  description = "When tasks start, by kind."
  type        = map(string)
}
