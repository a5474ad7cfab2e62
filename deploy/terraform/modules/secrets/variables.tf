variable "name" {
  description = "Beginning of every name."
  type        = string
}

variable "settings" {
  description = "Names of the settings."
  type        = set(string)
}

variable "disaster_region" {
  description = "Region of the copies."
  type        = string
}

variable "key_arn" {
  description = "Key of the secrets."
  type        = string
}

variable "disaster_key_arn" {
  description = "Key of the copies."
  type        = string
}
