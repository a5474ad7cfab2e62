environment     = "staging"
organisation    = "example"
account_id      = "222222222222"
region          = "eu-central-1"
zones           = ["eu-central-1a", "eu-central-1b"]
disaster_region = "eu-west-1"

image           = "222222222222.dkr.ecr.eu-central-1.amazonaws.com/lakemesh@sha256:0000000000000000000000000000000000000000000000000000000000000000"
repository_arns = ["arn:aws:ecr:eu-central-1:222222222222:repository/lakemesh"]

network_cidr   = "10.41.0.0/20"
cycle_schedule = "rate(30 minutes)"
cycle_size     = { cpu = 2048, memory = 8192, scratch = 50 }
database       = { class = "db.t4g.small", storage = 20, multi_az = false }
protected      = true

noncurrent_days = 7
cycle_hours     = 3
release_hours   = 26

alarm_emails   = ["lake@example.com"]
monthly_budget = 300
