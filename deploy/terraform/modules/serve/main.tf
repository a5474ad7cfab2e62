# `lake serve` behind a load balancer with TLS, which is reached from inside alone.
resource "aws_security_group" "balancer" {
  name        = "${var.name}-server"
  description = "Load balancer of the server"
  vpc_id      = var.network_id
  tags        = { Name = "${var.name}-server" }
}

resource "aws_vpc_security_group_ingress_rule" "clients" {
  for_each = toset(var.clients_cidr)

  security_group_id = aws_security_group.balancer.id
  description       = "HTTPS of clients"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = each.value
}

resource "aws_vpc_security_group_egress_rule" "server" {
  security_group_id            = aws_security_group.balancer.id
  description                  = "The server"
  ip_protocol                  = "tcp"
  from_port                    = 8321
  to_port                      = 8321
  referenced_security_group_id = var.task_group
}

resource "aws_vpc_security_group_ingress_rule" "server" {
  security_group_id            = var.task_group
  description                  = "The server, from its load balancer"
  ip_protocol                  = "tcp"
  from_port                    = 8321
  to_port                      = 8321
  referenced_security_group_id = aws_security_group.balancer.id
}

resource "aws_lb" "this" {
  #checkov:skip=CKV_AWS_150:by variable, on in staging and prod
  #checkov:skip=CKV2_AWS_28:it is internal, and the server limits requests itself (docs/serve.md)
  name                       = substr("${var.name}-server", 0, 32)
  internal                   = true
  load_balancer_type         = "application"
  subnets                    = var.subnets
  security_groups            = [aws_security_group.balancer.id]
  drop_invalid_header_fields = true
  enable_deletion_protection = var.protected

  access_logs {
    bucket  = var.logs_bucket
    prefix  = "server"
    enabled = true
  }
}

resource "aws_lb_target_group" "this" {
  #checkov:skip=CKV_AWS_378:TLS ends at the load balancer; behind it only its security group reaches the server
  name                 = substr("${var.name}-server", 0, 32)
  vpc_id               = var.network_id
  port                 = 8321
  protocol             = "HTTP"
  target_type          = "ip"
  deregistration_delay = 30

  health_check {
    path                = "/healthz"
    healthy_threshold   = 2
    unhealthy_threshold = 3
    interval            = 15
    timeout             = 5
    matcher             = "200"
  }
}

resource "aws_lb_listener" "this" {
  load_balancer_arn = aws_lb.this.arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = var.certificate_arn

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this.arn
  }
}

locals {
  log = {
    logDriver = "awslogs"
    options = {
      "awslogs-group"         = var.log_group
      "awslogs-region"        = var.region
      "awslogs-stream-prefix" = "serve"
    }
  }
}

resource "aws_ecs_task_definition" "this" {
  family                   = "${var.name}-serve"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 1024
  memory                   = 4096
  task_role_arn            = var.task_role_arn
  execution_role_arn       = var.execution_arn

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
      logConfiguration       = local.log
    },
    {
      name                   = "lake"
      image                  = var.image
      command                = ["lake", "serve", "--host", "0.0.0.0"]
      essential              = true
      dependsOn              = [{ containerName = "scratch", condition = "SUCCESS" }]
      user                   = "10001"
      readonlyRootFilesystem = true
      stopTimeout            = 60
      linuxParameters        = { initProcessEnabled = true, capabilities = { drop = ["ALL"] } }
      portMappings           = [{ containerPort = 8321, protocol = "tcp" }]
      environment            = [for name, value in var.environment : { name = name, value = value }]
      secrets                = [for name, arn in var.secrets : { name = name, valueFrom = arn }]
      mountPoints = [
        { sourceVolume = "data", containerPath = "/data", readOnly = false },
        { sourceVolume = "tmp", containerPath = "/tmp", readOnly = false },
      ]
      logConfiguration = local.log
    },
  ])
}

resource "aws_ecs_service" "this" {
  name                              = "${var.name}-serve"
  cluster                           = var.cluster_arn
  task_definition                   = aws_ecs_task_definition.this.arn
  desired_count                     = 1
  launch_type                       = "FARGATE"
  platform_version                  = "LATEST"
  propagate_tags                    = "TASK_DEFINITION"
  health_check_grace_period_seconds = 120
  depends_on                        = [aws_lb_listener.this]

  network_configuration {
    assign_public_ip = false
    security_groups  = [var.task_group]
    subnets          = var.subnets
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.this.arn
    container_name   = "lake"
    container_port   = 8321
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }
}

resource "aws_cloudwatch_metric_alarm" "away" {
  alarm_name          = "${var.name}-server-away"
  alarm_description   = "No server answers; docs/runbooks.md."
  namespace           = "AWS/ApplicationELB"
  metric_name         = "HealthyHostCount"
  statistic           = "Minimum"
  dimensions          = { LoadBalancer = aws_lb.this.arn_suffix, TargetGroup = aws_lb_target_group.this.arn_suffix }
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  period              = 60
  evaluation_periods  = 5
  treat_missing_data  = "breaching"
  alarm_actions       = [var.topic_arn]
  ok_actions          = [var.topic_arn]
}
