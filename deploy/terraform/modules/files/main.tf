# LAKE_HOME of tasks, which end while it stays: the warehouse's DuckDB file, counters and notes. The server has a folder
# of its own and never sees the warehouse.
resource "aws_efs_file_system" "this" {
  encrypted       = true
  kms_key_id      = var.key_arn
  throughput_mode = "elastic"
  tags            = { Name = var.name }
}

resource "aws_efs_backup_policy" "this" {
  file_system_id = aws_efs_file_system.this.id

  backup_policy {
    status = "DISABLED" # back-ups have an end of their own below
  }
}

resource "aws_security_group" "this" {
  name        = "${var.name}-files"
  description = "Files of tasks"
  vpc_id      = var.network_id
  tags        = { Name = "${var.name}-files" }
}

resource "aws_vpc_security_group_ingress_rule" "tasks" {
  security_group_id            = aws_security_group.this.id
  description                  = "NFS from tasks"
  ip_protocol                  = "tcp"
  from_port                    = 2049
  to_port                      = 2049
  referenced_security_group_id = var.clients
}

resource "aws_efs_mount_target" "this" {
  count = length(var.subnets)

  file_system_id  = aws_efs_file_system.this.id
  subnet_id       = var.subnets[count.index]
  security_groups = [aws_security_group.this.id]
}

resource "aws_efs_access_point" "this" {
  for_each = var.task_roles

  file_system_id = aws_efs_file_system.this.id
  tags           = { Name = "${var.name}-${each.key}" }

  posix_user {
    uid = 10001
    gid = 10001
  }

  root_directory {
    path = "/${each.key}"

    creation_info {
      owner_uid   = 10001
      owner_gid   = 10001
      permissions = "0700"
    }
  }
}

resource "aws_efs_file_system_policy" "this" {
  file_system_id = aws_efs_file_system.this.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Sid       = "Encrypted"
        Effect    = "Deny"
        Principal = { AWS = "*" }
        Action    = "*"
        Resource  = aws_efs_file_system.this.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      }],
      [for name, roles in var.task_roles : {
        Sid       = title(name)
        Effect    = "Allow"
        Principal = { AWS = roles }
        Action    = ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"]
        Resource  = aws_efs_file_system.this.arn
        Condition = { StringEquals = { "elasticfilesystem:AccessPointArn" = aws_efs_access_point.this[name].arn } }
      } if length(roles) > 0],
    )
  })
}

# The warehouse can be computed again from bronze (`lake rebuild`); a back-up is quicker.
resource "aws_backup_vault" "this" {
  name        = "${var.name}-files"
  kms_key_arn = var.key_arn
}

resource "aws_backup_plan" "this" {
  name = "${var.name}-files"

  rule {
    rule_name         = "daily"
    target_vault_name = aws_backup_vault.this.name
    schedule          = "cron(0 5 * * ? *)"

    lifecycle {
      delete_after = var.backup_days
    }
  }
}

resource "aws_backup_selection" "this" {
  name         = "${var.name}-files"
  plan_id      = aws_backup_plan.this.id
  iam_role_arn = var.backup_role
  resources    = [aws_efs_file_system.this.arn]
}
