variable "name" {
  description = "Beginning of every name."
  type        = string
}

variable "network_id" {
  description = "The network."
  type        = string
}

variable "subnets" {
  description = "Subnets of tasks."
  type        = list(string)
}

variable "clients" {
  description = "Security group of tasks."
  type        = string
}

variable "key_arn" {
  description = "Key of files and back-ups."
  type        = string
}

variable "backup_days" {
  description = "Days that back-ups are kept."
  type        = number
}

variable "backup_role" {
  description = "Role that makes back-ups."
  type        = string
}

variable "task_roles" {
  description = "Roles that may mount each folder, by its name: warehouse and server."
  type        = map(list(string))
}
