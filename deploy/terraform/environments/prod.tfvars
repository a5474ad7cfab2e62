environment     = "prod"
organisation    = "example"
account_id      = "333333333333"
region          = "eu-central-1"
zones           = ["eu-central-1a", "eu-central-1b"]
disaster_region = "eu-west-1"

image           = "333333333333.dkr.ecr.eu-central-1.amazonaws.com/lakemesh@sha256:0000000000000000000000000000000000000000000000000000000000000000"
repository_arns = ["arn:aws:ecr:eu-central-1:333333333333:repository/lakemesh"]

network_cidr   = "10.42.0.0/20"
cycle_schedule = "rate(10 minutes)"
cycle_size     = { cpu = 4096, memory = 16384, scratch = 50 }
database       = { class = "db.t4g.medium", storage = 50, multi_az = true }
protected      = true

noncurrent_days = 14
cycle_hours     = 2
release_hours   = 26

alarm_emails   = ["lake@example.com"]
monthly_budget = 900
