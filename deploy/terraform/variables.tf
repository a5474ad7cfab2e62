variable "environment" {
  description = "dev, staging or prod; part of every name."
  type        = string

  validation {
    condition     = contains(["dev", "staging", "prod"], var.environment)
    error_message = "The environment is dev, staging or prod."
  }
}

variable "organisation" {
  description = "Beginning of every name: names of buckets are unique in all of AWS."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,20}$", var.organisation))
    error_message = "Lower case letters, digits and hyphens, at most 21."
  }
}

variable "account_id" {
  description = "The account of this environment; another one is refused."
  type        = string
}

variable "region" {
  description = "Where everything runs."
  type        = string
}

variable "zones" {
  description = "Two availability zones of the region."
  type        = list(string)

  validation {
    condition     = length(var.zones) == 2
    error_message = "The database and the load balancer need two zones."
  }
}

variable "disaster_region" {
  description = "Where lake and landing are replicated to."
  type        = string
}

variable "image" {
  description = "Image of the project with its digest: registry/repository@sha256:…"
  type        = string

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "Name the image by its digest, so that a task never runs other code than was tested."
  }
}

variable "repository_arns" {
  description = "ECR repositories of the images."
  type        = list(string)
}

variable "landing_writers" {
  description = "ARNs of the principals that may write raw objects; none of them can read or delete."
  type        = list(string)
  default     = []
}

variable "access_roles" {
  description = "Names of the roles in access/roles.yaml; each gets a bucket of releases of its own."
  type        = list(string)
  default     = []
}

variable "readers" {
  description = "ARNs of the principals that may read releases, by role; the role `everything` is the release of everything."
  type        = map(list(string))
  default     = {}
}

variable "network_cidr" {
  description = "Addresses of the network, a /20 or larger."
  type        = string
  default     = "10.42.0.0/20"
}

variable "internet" {
  description = "Whether tasks reach the internet through a NAT gateway: webhooks, mail, brokers elsewhere."
  type        = bool
  default     = false
}

variable "cycle_schedule" {
  description = "When `lake run` starts."
  type        = string
  default     = "rate(10 minutes)"
}

variable "maintenance_schedule" {
  description = "When `lake maintain` starts, in UTC."
  type        = string
  default     = "cron(30 3 * * ? *)"
}

variable "cycle_size" {
  description = "CPU units (1024 each) and memory in MiB of a cycle, as Fargate combines them, and its scratch space in GiB."
  type        = object({ cpu = number, memory = number, scratch = number })
  default     = { cpu = 2048, memory = 8192, scratch = 50 }
}

variable "settings" {
  description = "Further settings of every task that are no secrets (docs/settings.md)."
  type        = map(string)
  default     = {}
}

variable "secret_settings" {
  description = "Settings that are secrets, by the kind of task that gets them. Their values are put by hand (docs/aws.md)."
  type        = map(list(string))
  default = {
    stream      = ["LAKE_ERASURE_KEY"]
    cycle       = ["LAKE_ERASURE_KEY", "LAKE_ROLE_KEYS", "NOTIFY_WEBHOOK_URL"]
    maintenance = ["LAKE_ERASURE_KEY", "LAKE_ROLE_KEYS"]
    serve       = ["LAKE_API_KEYS"]
  }
}

variable "kafka_bootstrap_servers" {
  description = "Brokers of topics; with them `lake stream` runs all the time."
  type        = string
  default     = ""
}

variable "certificate_arn" {
  description = "Certificate of the server's name; with it `lake serve` runs behind a load balancer."
  type        = string
  default     = ""
}

variable "clients_cidr" {
  description = "Addresses that reach the load balancer, which is internal."
  type        = list(string)
  default     = []
}

variable "noncurrent_days" {
  description = "Days after which replaced and deleted objects, database and file back-ups are gone: with the days that S3 and an erasure take themselves, less than the month of GDPR article 12(3)."
  type        = number
  default     = 14

  validation {
    condition     = var.noncurrent_days >= 1 && var.noncurrent_days <= 21
    error_message = "From 1 to 21 days: an erasure has to be complete within a month (docs/aws.md)."
  }
}

variable "database" {
  description = "Instance class, storage in GiB and copies of the state's Postgres."
  type        = object({ class = string, storage = number, multi_az = bool })
  default     = { class = "db.t4g.small", storage = 20, multi_az = false }
}

variable "protected" {
  description = "Whether databases, buckets with objects and the load balancer are protected from deletion."
  type        = bool
  default     = true
}

variable "release_hours" {
  description = "Hours without a new release after which somebody is alerted."
  type        = number
  default     = 26
}

variable "cycle_hours" {
  description = "Hours without a cycle that ended well after which somebody is alerted."
  type        = number
  default     = 2
}

variable "alarm_emails" {
  description = "Who gets alarms and budget notices; each address has to confirm."
  type        = list(string)
}

variable "monthly_budget" {
  description = "US dollars a month of everything with this project's tags."
  type        = number
}
