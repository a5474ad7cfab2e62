# Who may do what. What the product itself calls is in policies/<role>.json, which tests/deploy/test_roles.py proves;
# keys*.json, execution.json, scheduler.json and replication.json are what AWS's own services need on its behalf.
locals {
  policy = { cycle = "cycle", maintenance = "maintenance", stream = "ingester", serve = "serve" }
  folder = "${path.root}/policies"
  buckets = {
    landing = var.buckets.landing
    lake    = var.buckets.lake
    # the release of everything, and one resource for each bucket of releases
    everything        = var.buckets.published["everything"]
    published         = join("\", \"", [for bucket in values(var.buckets.published) : "arn:aws:s3:::${bucket}"])
    published_objects = join("\", \"", [for bucket in values(var.buckets.published) : "arn:aws:s3:::${bucket}/*"])
  }
  trust = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = var.account_id } }
    }]
  })
}

resource "aws_iam_role" "task" {
  for_each = var.kinds

  name               = "${var.name}-${each.key}"
  description        = "What `lake` may do as ${each.key}"
  assume_role_policy = local.trust
}

resource "aws_iam_role_policy" "task" {
  for_each = var.kinds

  name   = "lake"
  role   = aws_iam_role.task[each.key].id
  policy = templatefile("${local.folder}/${local.policy[each.key]}.json", local.buckets)
}

resource "aws_iam_role_policy" "keys" {
  for_each = var.kinds

  name   = "keys"
  role   = aws_iam_role.task[each.key].id
  policy = templatefile("${local.folder}/keys.json", { data_key = var.keys.data })
}

resource "aws_iam_role" "execution" {
  for_each = var.kinds

  name               = "${var.name}-${each.key}-start"
  description        = "What Fargate may do to start ${each.key}: image, secrets, log"
  assume_role_policy = local.trust
}

resource "aws_iam_role_policy" "execution" {
  for_each = var.kinds

  name = "start"
  role = aws_iam_role.execution[each.key].id
  policy = templatefile("${local.folder}/execution.json", {
    repositories = join("\", \"", var.repository_arns)
    log_group    = var.log_group_arns[each.key]
    secrets      = join("\", \"", var.secret_arns[each.key])
    platform_key = var.keys.platform
  })
}

resource "aws_iam_role" "scheduler" {
  name        = "${var.name}-scheduler"
  description = "Starts tasks on time"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "scheduler.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = var.account_id } }
    }]
  })
}

resource "aws_iam_role_policy" "scheduler" {
  name = "start"
  role = aws_iam_role.scheduler.id
  policy = templatefile("${local.folder}/scheduler.json", {
    cluster = var.cluster_arn
    definitions = join("\", \"", [
      for kind in ["cycle", "maintenance"] :
      "arn:aws:ecs:${var.region}:${var.account_id}:task-definition/${var.definitions[kind]}:*"
    ])
    roles = join("\", \"", flatten([
      for kind in ["cycle", "maintenance"] : [aws_iam_role.task[kind].arn, aws_iam_role.execution[kind].arn]
    ]))
    dead_letters = "arn:aws:sqs:${var.region}:${var.account_id}:${var.name}-not-started"
    platform_key = var.keys.platform
  })
}

resource "aws_iam_role" "replication" {
  name        = "${var.name}-replication"
  description = "Copies landing and lake to the other region"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { Service = "s3.amazonaws.com" }, Action = "sts:AssumeRole" }]
  })
}

resource "aws_iam_role_policy" "replication" {
  name = "copy"
  role = aws_iam_role.replication.id
  policy = templatefile("${local.folder}/replication.json", {
    sources      = join("\", \"", [for name in keys(var.buckets.disaster) : "arn:aws:s3:::${var.buckets[name]}"])
    objects      = join("\", \"", [for name in keys(var.buckets.disaster) : "arn:aws:s3:::${var.buckets[name]}/*"])
    copies       = join("\", \"", [for bucket in values(var.buckets.disaster) : "arn:aws:s3:::${bucket}/*"])
    data_key     = var.keys.data
    disaster_key = var.keys.disaster
  })
}

# Readers: people and tools, one role for each role of access/roles.yaml that has any.
resource "aws_iam_role" "reader" {
  for_each = var.readers

  name        = "${var.name}-reader-${each.key}"
  description = "Reads the releases of ${each.key}"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { AWS = each.value }, Action = "sts:AssumeRole" }]
  })
}

resource "aws_iam_role_policy" "reader" {
  for_each = var.readers

  name   = "lake"
  role   = aws_iam_role.reader[each.key].id
  policy = templatefile("${local.folder}/reader.json", { published = var.buckets.published[each.key] })
}

resource "aws_iam_role_policy" "reader_keys" {
  for_each = var.readers

  name   = "keys"
  role   = aws_iam_role.reader[each.key].id
  policy = templatefile("${local.folder}/keys_read.json", { data_key = var.keys.data })
}

resource "aws_iam_role" "monitoring" {
  name        = "${var.name}-monitoring"
  description = "Writes measures of the database's machine"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { Service = "monitoring.rds.amazonaws.com" }, Action = "sts:AssumeRole" }]
  })
}

resource "aws_iam_role_policy_attachment" "monitoring" {
  role       = aws_iam_role.monitoring.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole"
}

resource "aws_iam_role" "backup" {
  name        = "${var.name}-backup"
  description = "Makes back-ups of the files"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { Service = "backup.amazonaws.com" }, Action = "sts:AssumeRole" }]
  })
}

resource "aws_iam_role_policy_attachment" "backup" {
  role       = aws_iam_role.backup.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AWSBackupServiceRolePolicyForBackup"
}
