environment     = "dev"
organisation    = "example"
account_id      = "111111111111"
region          = "eu-central-1"
zones           = ["eu-central-1a", "eu-central-1b"]
disaster_region = "eu-west-1"

image           = "111111111111.dkr.ecr.eu-central-1.amazonaws.com/lakemesh@sha256:0000000000000000000000000000000000000000000000000000000000000000"
repository_arns = ["arn:aws:ecr:eu-central-1:111111111111:repository/lakemesh"]

network_cidr   = "10.40.0.0/20"
cycle_schedule = "rate(1 hour)"
cycle_size     = { cpu = 1024, memory = 4096, scratch = 50 }
database       = { class = "db.t4g.micro", storage = 20, multi_az = false }
protected      = false

noncurrent_days = 7
cycle_hours     = 4
release_hours   = 50

alarm_emails   = ["lake@example.com"]
monthly_budget = 150
