variable "name" {
  description = "Beginning of every name."
  type        = string
}

variable "account_id" {
  description = "The account."
  type        = string
}

variable "disaster_region" {
  description = "Where landing and lake are copied to."
  type        = string
}

variable "access_roles" {
  description = "Roles of access/roles.yaml."
  type        = list(string)
}

variable "landing_writers" {
  description = "Principals that may write raw objects."
  type        = list(string)
}

variable "noncurrent_days" {
  description = "Days that replaced and deleted objects are kept."
  type        = number
}

variable "protected" {
  description = "Whether buckets with objects are protected from deletion."
  type        = bool
}

variable "key_arn" {
  description = "Key of the objects."
  type        = string
}

variable "disaster_key_arn" {
  description = "Key of the copies."
  type        = string
}

variable "replication_role" {
  description = "Role that copies objects."
  type        = string
}

variable "topic_arn" {
  description = "Topic of alarms."
  type        = string
}
