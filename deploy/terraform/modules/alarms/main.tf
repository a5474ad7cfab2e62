# What a cycle cannot say of itself: that it no longer runs, was killed, or could not start. What fails inside of one it
# reports itself (docs/operations.md).
resource "aws_sns_topic" "this" {
  name              = "${var.name}-alarms"
  kms_master_key_id = var.key_arn
}

resource "aws_sns_topic_policy" "this" {
  arn = aws_sns_topic.this.arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "AlarmsAndBudget"
        Effect    = "Allow"
        Principal = { Service = ["cloudwatch.amazonaws.com", "budgets.amazonaws.com"] }
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.this.arn
        Condition = { StringEquals = { "aws:SourceAccount" = var.account_id } }
      },
      {
        Sid       = "Events" # EventBridge sets no condition keys
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.this.arn
      },
    ]
  })
}

resource "aws_sns_topic_subscription" "emails" {
  for_each = toset(var.emails)

  topic_arn = aws_sns_topic.this.arn
  protocol  = "email"
  endpoint  = each.value
}

# `lake run --json` ends with one line that has the outcome.
resource "aws_cloudwatch_log_metric_filter" "cycles" {
  for_each = {
    well    = "{ ($.outcome = \"published\") || ($.outcome = \"unchanged\") || ($.outcome = \"held\") }"
    release = "{ $.outcome = \"published\" }"
    failed  = "{ ($.outcome = \"failed\") || ($.outcome = \"not published\") }"
  }

  name           = "${var.name}-cycles-${each.key}"
  log_group_name = var.cycle_log_group
  pattern        = each.value

  metric_transformation {
    namespace     = "Lakemesh/${var.name}"
    name          = "cycles_${each.key}"
    value         = "1"
    default_value = "0"
  }
}

locals {
  absent = {
    cycle   = { metric = "cycles_well", hours = var.cycle_hours, text = "No cycle ended well for ${var.cycle_hours} hours." }
    release = { metric = "cycles_release", hours = var.release_hours, text = "No new release for ${var.release_hours} hours." }
  }
}

resource "aws_cloudwatch_metric_alarm" "absent" {
  for_each = local.absent

  alarm_name          = "${var.name}-no-${each.key}"
  alarm_description   = "${each.value.text} docs/runbooks.md."
  namespace           = "Lakemesh/${var.name}"
  metric_name         = each.value.metric
  statistic           = "Sum"
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  period              = 3600
  evaluation_periods  = each.value.hours
  datapoints_to_alarm = each.value.hours
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_sns_topic.this.arn]
  ok_actions          = [aws_sns_topic.this.arn]
  depends_on          = [aws_cloudwatch_log_metric_filter.cycles]
}

resource "aws_cloudwatch_metric_alarm" "failing" {
  alarm_name          = "${var.name}-cycles-fail"
  alarm_description   = "Cycles have failed for an hour; docs/runbooks.md."
  namespace           = "Lakemesh/${var.name}"
  metric_name         = "cycles_failed"
  statistic           = "Sum"
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1
  period              = 1800
  evaluation_periods  = 2
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.this.arn]
  ok_actions          = [aws_sns_topic.this.arn]
  depends_on          = [aws_cloudwatch_log_metric_filter.cycles]
}

# Killed (137: memory), misused (2), or never begun (no image, no secret). 1 is a cycle's own failure, counted above.
resource "aws_cloudwatch_event_rule" "stopped" {
  name        = "${var.name}-stopped"
  description = "A task that did not end by itself"
  event_pattern = jsonencode({
    source        = ["aws.ecs"]
    "detail-type" = ["ECS Task State Change"]
    detail = {
      clusterArn = [var.cluster_arn]
      lastStatus = ["STOPPED"]
      "$or" = [
        { stopCode = ["TaskFailedToStart"] },
        { containers = { exitCode = [{ "anything-but" = [0, 1, 143] }] } },
      ]
    }
  })
}

resource "aws_cloudwatch_event_target" "stopped" {
  rule      = aws_cloudwatch_event_rule.stopped.name
  target_id = "alarms"
  arn       = aws_sns_topic.this.arn

  input_transformer {
    input_paths    = { task = "$.detail.taskArn", group = "$.detail.group", reason = "$.detail.stoppedReason" }
    input_template = "\"<group>: <task> ended: <reason>\""
  }
}

resource "aws_cloudwatch_metric_alarm" "not_started" {
  alarm_name          = "${var.name}-not-started"
  alarm_description   = "The scheduler could not start a task; the message in the queue says why."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  statistic           = "Maximum"
  dimensions          = { QueueName = var.dead_letters }
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  period              = 300
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.this.arn]
  ok_actions          = [aws_sns_topic.this.arn]
}

resource "aws_cloudwatch_metric_alarm" "database" {
  for_each = {
    storage = { metric = "FreeStorageSpace", statistic = "Minimum", comparison = "LessThanThreshold", threshold = var.database_storage * 1073741824 / 5, text = "Less than a fifth of the state's storage is free." }
    cpu     = { metric = "CPUUtilization", statistic = "Average", comparison = "GreaterThanThreshold", threshold = 90, text = "The state's processor is busy." }
    memory  = { metric = "FreeableMemory", statistic = "Minimum", comparison = "LessThanThreshold", threshold = 67108864, text = "The state's memory is short." }
  }

  alarm_name          = "${var.name}-state-${each.key}"
  alarm_description   = each.value.text
  namespace           = "AWS/RDS"
  metric_name         = each.value.metric
  statistic           = each.value.statistic
  dimensions          = { DBInstanceIdentifier = var.database_id }
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  period              = 300
  evaluation_periods  = 6
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_sns_topic.this.arn]
  ok_actions          = [aws_sns_topic.this.arn]
}

resource "aws_budgets_budget" "this" {
  name         = var.name
  budget_type  = "COST"
  limit_amount = tostring(var.monthly_budget)
  limit_unit   = "USD"
  time_unit    = "MONTHLY"

  cost_filter {
    name   = "TagKeyValue"
    values = [format("user:environment$%s", var.tags["environment"])]
  }

  dynamic "notification" {
    for_each = { ACTUAL = 80, FORECASTED = 100 }

    content {
      notification_type         = notification.key
      threshold                 = notification.value
      threshold_type            = "PERCENTAGE"
      comparison_operator       = "GREATER_THAN"
      subscriber_sns_topic_arns = [aws_sns_topic.this.arn]
    }
  }
}
