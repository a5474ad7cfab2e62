variable "name" {
  description = "Beginning of every name."
  type        = string
}

variable "account_id" {
  description = "The account."
  type        = string
}

variable "region" {
  description = "Region of the first two keys."
  type        = string
}

variable "disaster_region" {
  description = "Region of the third."
  type        = string
}
