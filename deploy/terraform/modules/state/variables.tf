variable "name" {
  description = "Beginning of every name."
  type        = string
}

variable "network_id" {
  description = "The network."
  type        = string
}

variable "subnets" {
  description = "Subnets of the database, in two zones."
  type        = list(string)
}

variable "clients" {
  description = "Security group of those who connect."
  type        = string
}

variable "instance" {
  description = "Class, storage in GiB, and whether there is a second one."
  type        = object({ class = string, storage = number, multi_az = bool })
}

variable "backup_days" {
  description = "Days that back-ups are kept."
  type        = number
}

variable "protected" {
  description = "Whether the database is protected from deletion."
  type        = bool
}

variable "key_arn" {
  description = "Key of storage and password."
  type        = string
}

variable "monitoring_arn" {
  description = "Role that writes measures of the machine."
  type        = string
}
