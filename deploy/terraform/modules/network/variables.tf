variable "name" {
  description = "Beginning of every name."
  type        = string
}

variable "region" {
  description = "Region of the endpoints."
  type        = string
}

variable "cidr" {
  description = "Addresses of the network."
  type        = string
}

variable "internet" {
  description = "Whether there is a NAT gateway."
  type        = bool
}

variable "key_arn" {
  description = "Key of the logs."
  type        = string
}

variable "zones" {
  description = "Two availability zones."
  type        = list(string)
}
