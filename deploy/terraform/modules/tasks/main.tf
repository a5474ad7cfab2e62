# Cycles and maintenance are tasks that the scheduler starts; a stream is a service. Nothing here keeps two cycles apart:
# the lake does, by a lock in Postgres that dies with its process, and a second cycle ends at once with 1 (docs/aws.md).
locals {
  commands = {
    cycle       = ["lake", "run", "--json", "--wait", "60"]
    maintenance = ["lake", "maintain", "--wait", "3600"]
    stream      = ["lake", "stream", "--every", "10s"]
  }
  sizes = {
    cycle       = var.size
    maintenance = var.size
    stream      = { cpu = 512, memory = 2048, scratch = 21 }
  }
  log = {
    for kind, group in aws_cloudwatch_log_group.this : kind => {
      logDriver = "awslogs"
      options = {
        "awslogs-group"         = group.name
        "awslogs-region"        = var.region
        "awslogs-stream-prefix" = kind
      }
    }
  }
}

resource "aws_ecs_cluster" "this" {
  name = var.name

  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

resource "aws_cloudwatch_log_group" "this" {
  for_each = setunion(var.kinds, ["serve"])

  name              = "/${var.name}/${each.key}"
  retention_in_days = 365
  kms_key_id        = var.key_arn
}

resource "aws_ecs_task_definition" "this" {
  for_each = var.kinds

  family                   = "${var.name}-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = local.sizes[each.key].cpu
  memory                   = local.sizes[each.key].memory
  task_role_arn            = var.task_roles[each.key]
  execution_role_arn       = var.execution_arns[each.key]

  ephemeral_storage {
    size_in_gib = local.sizes[each.key].scratch
  }

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = "X86_64"
  }

  volume {
    name = "data"

    efs_volume_configuration {
      file_system_id     = var.file_system_id
      transit_encryption = "ENABLED"

      authorization_config {
        access_point_id = var.access_point
        iam             = "ENABLED"
      }
    }
  }

  volume {
    name = "tmp"
  }

  # An empty volume belongs to root: the first container opens /tmp to the user of the second one.
  container_definitions = jsonencode([
    {
      name                   = "scratch"
      image                  = var.image
      command                = ["chmod", "1777", "/tmp"]
      essential              = false
      user                   = "0"
      readonlyRootFilesystem = true
      linuxParameters        = { capabilities = { drop = ["ALL"] } }
      mountPoints            = [{ sourceVolume = "tmp", containerPath = "/tmp", readOnly = false }]
      logConfiguration       = local.log[each.key]
    },
    {
      name                   = "lake"
      image                  = var.image
      command                = local.commands[each.key]
      essential              = true
      dependsOn              = [{ containerName = "scratch", condition = "SUCCESS" }]
      user                   = "10001"
      readonlyRootFilesystem = true
      stopTimeout            = 120
      linuxParameters        = { initProcessEnabled = true, capabilities = { drop = ["ALL"] } }
      environment            = [for name, value in var.environment : { name = name, value = value }]
      secrets = concat(
        [{ name = "PGPASSWORD", valueFrom = "${var.state_secret}:password::" }],
        [for name, arn in var.secrets[each.key] : { name = name, valueFrom = arn }],
      )
      mountPoints = [
        { sourceVolume = "data", containerPath = "/data", readOnly = false },
        { sourceVolume = "tmp", containerPath = "/tmp", readOnly = false },
      ]
      logConfiguration = local.log[each.key]
    },
  ])
}

resource "aws_sqs_queue" "not_started" {
  name                      = "${var.name}-not-started"
  kms_master_key_id         = var.key_arn
  message_retention_seconds = 1209600
}

resource "aws_scheduler_schedule" "this" {
  for_each = var.schedules

  name                         = "${var.name}-${each.key}"
  description                  = "lake ${each.key}"
  schedule_expression          = each.value
  schedule_expression_timezone = "UTC"
  kms_key_arn                  = var.key_arn

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = aws_ecs_cluster.this.arn
    role_arn = var.scheduler_arn

    ecs_parameters {
      task_definition_arn = aws_ecs_task_definition.this[each.key].arn
      launch_type         = "FARGATE"
      platform_version    = "LATEST"
      propagate_tags      = "TASK_DEFINITION"
      task_count          = 1

      network_configuration {
        assign_public_ip = false
        security_groups  = [var.security_group]
        subnets          = var.subnets
      }
    }

    retry_policy {
      maximum_event_age_in_seconds = 300
      maximum_retry_attempts       = 1
    }

    dead_letter_config {
      arn = aws_sqs_queue.not_started.arn
    }
  }
}

resource "aws_ecs_service" "stream" {
  count = contains(var.kinds, "stream") ? 1 : 0

  name                               = "${var.name}-stream"
  cluster                            = aws_ecs_cluster.this.id
  task_definition                    = aws_ecs_task_definition.this["stream"].arn
  desired_count                      = 1
  launch_type                        = "FARGATE"
  platform_version                   = "LATEST"
  propagate_tags                     = "TASK_DEFINITION"
  deployment_minimum_healthy_percent = 0
  deployment_maximum_percent         = 100

  network_configuration {
    assign_public_ip = false
    security_groups  = [var.security_group]
    subnets          = var.subnets
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }
}
