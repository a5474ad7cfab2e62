# Postgres with SQLMesh's state and the locks that let one cycle run at a time.
resource "aws_db_subnet_group" "this" {
  name       = "${var.name}-state"
  subnet_ids = var.subnets
}

resource "aws_security_group" "this" {
  name        = "${var.name}-state"
  description = "Postgres with the state"
  vpc_id      = var.network_id
  tags        = { Name = "${var.name}-state" }
}

resource "aws_vpc_security_group_ingress_rule" "tasks" {
  security_group_id            = aws_security_group.this.id
  description                  = "Postgres from tasks"
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
  referenced_security_group_id = var.clients
}

resource "aws_db_parameter_group" "this" {
  name   = "${var.name}-state"
  family = "postgres17"

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }

  parameter {
    name  = "log_statement"
    value = "ddl"
  }

  parameter {
    name  = "log_min_duration_statement"
    value = "5000"
  }
}

resource "aws_db_instance" "this" {
  #checkov:skip=CKV_AWS_157:by variable; an older state only costs recomputation
  #checkov:skip=CKV_AWS_293:by variable, on in staging and prod
  #checkov:skip=CKV_AWS_161:tasks use the password that RDS keeps and rotates in Secrets Manager; tokens of IAM last 15 minutes, less than a cycle
  identifier = "${var.name}-state"

  engine         = "postgres"
  engine_version = "17"
  instance_class = var.instance.class
  multi_az       = var.instance.multi_az

  db_name                       = "lakemesh_state"
  username                      = "lakemesh"
  manage_master_user_password   = true
  master_user_secret_kms_key_id = var.key_arn

  storage_type          = "gp3"
  allocated_storage     = var.instance.storage
  max_allocated_storage = var.instance.storage * 4
  storage_encrypted     = true
  kms_key_id            = var.key_arn

  db_subnet_group_name   = aws_db_subnet_group.this.name
  vpc_security_group_ids = [aws_security_group.this.id]
  publicly_accessible    = false
  parameter_group_name   = aws_db_parameter_group.this.name

  backup_retention_period   = var.backup_days
  backup_window             = "01:00-01:30"
  maintenance_window        = "sun:02:00-sun:02:30"
  copy_tags_to_snapshot     = true
  deletion_protection       = var.protected
  skip_final_snapshot       = !var.protected
  final_snapshot_identifier = var.protected ? "${var.name}-state-final" : null
  delete_automated_backups  = true

  auto_minor_version_upgrade      = true
  enabled_cloudwatch_logs_exports = ["postgresql", "upgrade"]
  monitoring_interval             = 60
  monitoring_role_arn             = var.monitoring_arn
  performance_insights_enabled    = true
  performance_insights_kms_key_id = var.key_arn
}
