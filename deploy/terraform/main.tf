# One environment of Lakemesh on AWS; docs/aws.md explains it.
locals {
  name    = "${var.organisation}-lakemesh-${var.environment}"
  tags    = { project = "lakemesh", environment = var.environment }
  streams = var.kafka_bootstrap_servers != ""
  serves  = var.certificate_arn != ""
  kinds   = toset(concat(["cycle", "maintenance"], local.streams ? ["stream"] : [], local.serves ? ["serve"] : []))
  secrets = { for kind in local.kinds : kind => lookup(var.secret_settings, kind, []) }

  settings = merge(
    {
      AWS_REGION    = var.region
      LAKE_HOME     = "/data"
      LANDING_URI   = "s3://${module.storage.landing}/{bucket}"
      LAKE_URI      = "s3://${module.storage.lake}"
      PUBLISHED_URI = "s3://${module.storage.published["everything"]}"
      LAKE_LOG      = "json"
    },
    local.streams ? { KAFKA_BOOTSTRAP_SERVERS = var.kafka_bootstrap_servers } : {},
    var.settings,
  )
  state = {
    LAKE_GATEWAY = "postgres_state"
    PGHOST       = module.state.host
    PGPORT       = tostring(module.state.port)
    PGUSER       = module.state.user
    PGDATABASE   = module.state.database
    PGSSLMODE    = "require"
  }
}

module "keys" {
  source = "./modules/keys"

  name            = local.name
  account_id      = var.account_id
  region          = var.region
  disaster_region = var.disaster_region
}

module "network" {
  source = "./modules/network"

  name     = local.name
  region   = var.region
  zones    = var.zones
  cidr     = var.network_cidr
  internet = var.internet
  key_arn  = module.keys.platform
}

module "storage" {
  source = "./modules/storage"

  name             = local.name
  account_id       = var.account_id
  disaster_region  = var.disaster_region
  access_roles     = var.access_roles
  landing_writers  = var.landing_writers
  noncurrent_days  = var.noncurrent_days
  protected        = var.protected
  key_arn          = module.keys.data
  disaster_key_arn = module.keys.disaster
  replication_role = module.roles.replication
  topic_arn        = module.alarms.topic
}

module "state" {
  source = "./modules/state"

  name           = local.name
  network_id     = module.network.id
  subnets        = module.network.private_subnets
  clients        = module.network.task_group
  instance       = var.database
  backup_days    = var.noncurrent_days
  protected      = var.protected
  key_arn        = module.keys.platform
  monitoring_arn = module.roles.monitoring
}

module "files" {
  source = "./modules/files"

  name        = local.name
  network_id  = module.network.id
  subnets     = module.network.private_subnets
  clients     = module.network.task_group
  key_arn     = module.keys.data
  backup_days = var.noncurrent_days
  backup_role = module.roles.backup
  task_roles = {
    warehouse = [for kind in ["cycle", "maintenance", "stream"] : module.roles.tasks[kind] if contains(local.kinds, kind)]
    server    = local.serves ? [module.roles.tasks["serve"]] : []
  }
}

module "secrets" {
  source = "./modules/secrets"

  name             = local.name
  settings         = toset(flatten(values(local.secrets)))
  disaster_region  = var.disaster_region
  key_arn          = module.keys.platform
  disaster_key_arn = module.keys.disaster
}

module "roles" {
  source = "./modules/roles"

  name       = local.name
  account_id = var.account_id
  region     = var.region
  kinds      = local.kinds
  readers    = var.readers
  buckets = {
    landing   = module.storage.landing
    lake      = module.storage.lake
    published = module.storage.published
    disaster  = module.storage.disaster
  }
  keys = {
    data     = module.keys.data
    platform = module.keys.platform
    disaster = module.keys.disaster
  }
  secret_arns = {
    for kind, names in local.secrets :
    kind => concat([for name in names : module.secrets.arns[name]], kind == "serve" ? [] : [module.state.secret_arn])
  }
  log_group_arns  = module.tasks.log_group_arns
  repository_arns = var.repository_arns
  cluster_arn     = module.tasks.cluster_arn
  definitions     = module.tasks.definition_families
}

module "tasks" {
  source = "./modules/tasks"

  name           = local.name
  region         = var.region
  image          = var.image
  kinds          = setsubtract(local.kinds, ["serve"])
  size           = var.cycle_size
  environment    = merge(local.settings, local.state)
  secrets        = { for kind, names in local.secrets : kind => { for name in names : name => module.secrets.arns[name] } }
  state_secret   = module.state.secret_arn
  task_roles     = module.roles.tasks
  execution_arns = module.roles.execution
  scheduler_arn  = module.roles.scheduler
  file_system_id = module.files.id
  access_point   = module.files.warehouse
  subnets        = module.network.private_subnets
  security_group = module.network.task_group
  key_arn        = module.keys.platform
  schedules      = { cycle = var.cycle_schedule, maintenance = var.maintenance_schedule }
}

module "serve" {
  source = "./modules/serve"
  count  = local.serves ? 1 : 0

  name            = local.name
  region          = var.region
  image           = var.image
  environment     = local.settings
  secrets         = { for name in local.secrets["serve"] : name => module.secrets.arns[name] }
  task_role_arn   = module.roles.tasks["serve"]
  execution_arn   = module.roles.execution["serve"]
  cluster_arn     = module.tasks.cluster_arn
  log_group       = module.tasks.server_log_group
  file_system_id  = module.files.id
  access_point    = module.files.server
  network_id      = module.network.id
  subnets         = module.network.private_subnets
  task_group      = module.network.task_group
  clients_cidr    = var.clients_cidr
  certificate_arn = var.certificate_arn
  logs_bucket     = module.storage.logs
  protected       = var.protected
  topic_arn       = module.alarms.topic
}

module "alarms" {
  source = "./modules/alarms"

  name             = local.name
  account_id       = var.account_id
  key_arn          = module.keys.platform
  emails           = var.alarm_emails
  cluster_arn      = module.tasks.cluster_arn
  cycle_log_group  = module.tasks.log_group_names["cycle"]
  database_id      = module.state.id
  database_storage = var.database.storage
  dead_letters     = module.tasks.dead_letters
  release_hours    = var.release_hours
  cycle_hours      = var.cycle_hours
  monthly_budget   = var.monthly_budget
  tags             = local.tags
}
