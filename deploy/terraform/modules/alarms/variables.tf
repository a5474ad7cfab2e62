variable "name" {
  description = "Beginning of every name."
  type        = string
}

variable "account_id" {
  description = "The account."
  type        = string
}

variable "key_arn" {
  description = "Key of the topic."
  type        = string
}

variable "emails" {
  description = "Who gets alarms."
  type        = list(string)
}

variable "cluster_arn" {
  description = "The cluster."
  type        = string
}

variable "cycle_log_group" {
  description = "Log group of cycles."
  type        = string
}

variable "database_id" {
  description = "The state's database."
  type        = string
}

variable "database_storage" {
  description = "Its storage in GiB."
  type        = number
}

variable "dead_letters" {
  description = "Queue of starts that failed."
  type        = string
}

variable "release_hours" {
  description = "Hours without a release."
  type        = number
}

variable "cycle_hours" {
  description = "Hours without a cycle that ended well."
  type        = number
}

variable "monthly_budget" {
  description = "US dollars a month."
  type        = number
}

variable "tags" {
  description = "Tags of what the budget counts."
  type        = map(string)
}
