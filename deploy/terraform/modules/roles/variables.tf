variable "name" {
  description = "Beginning of every name."
  type        = string
}

variable "account_id" {
  description = "The account."
  type        = string
}

variable "region" {
  description = "Where tasks run."
  type        = string
}

variable "kinds" {
  description = "Kinds of tasks: cycle, maintenance, stream, serve."
  type        = set(string)
}

variable "readers" {
  description = "Principals that may read releases, by role."
  type        = map(list(string))
}

variable "buckets" {
  description = "Names of the buckets."
  type = object({
    landing   = string
    lake      = string
    published = map(string)
    disaster  = map(string)
  })
}

variable "keys" {
  description = "The three keys."
  type        = object({ data = string, platform = string, disaster = string })
}

variable "secret_arns" {
  description = "Secrets of each kind of task."
  type        = map(list(string))
}

variable "log_group_arns" {
  description = "Log group of each kind of task."
  type        = map(string)
}

variable "repository_arns" {
  description = "Repositories of the images."
  type        = list(string)
}

variable "cluster_arn" {
  description = "Where tasks run."
  type        = string
}

variable "definitions" {
  description = "Names of the task definitions, by kind."
  type        = map(string)
}
