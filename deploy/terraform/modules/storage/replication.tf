# The copies of landing and lake. Delete markers are replicated, so what is deleted here is hidden there at once; the
# deletion of an old version by a lifecycle rule is not, so the copies have the same rule.
resource "aws_s3_bucket" "copy" {
  #checkov:skip=CKV_AWS_144:it is the copy
  #checkov:skip=CKV2_AWS_62:nothing reads it unless the first region is lost
  #checkov:skip=CKV_AWS_18:only the replication writes it, and data events of CloudTrail show readers
  for_each = local.copied

  region        = var.disaster_region
  bucket        = each.value
  force_destroy = !var.protected
}

resource "aws_s3_bucket_versioning" "copy" {
  for_each = local.copied

  region = var.disaster_region
  bucket = aws_s3_bucket.copy[each.key].id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "copy" {
  for_each = local.copied

  region = var.disaster_region
  bucket = aws_s3_bucket.copy[each.key].id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = var.disaster_key_arn
    }
  }
}

resource "aws_s3_bucket_public_access_block" "copy" {
  for_each = local.copied

  region                  = var.disaster_region
  bucket                  = aws_s3_bucket.copy[each.key].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "copy" {
  for_each = local.copied

  region = var.disaster_region
  bucket = aws_s3_bucket.copy[each.key].id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "copy" {
  for_each = local.copied

  region     = var.disaster_region
  bucket     = aws_s3_bucket.copy[each.key].id
  depends_on = [aws_s3_bucket_versioning.copy]

  rule {
    id     = "noncurrent"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = var.noncurrent_days
    }

    expiration {
      expired_object_delete_marker = true
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 2
    }
  }
}

resource "aws_s3_bucket_policy" "copy" {
  for_each = local.copied

  region     = var.disaster_region
  bucket     = aws_s3_bucket.copy[each.key].id
  depends_on = [aws_s3_bucket_public_access_block.copy]
  policy     = templatefile("${path.root}/policies/bucket.json", { bucket = each.value })
}

resource "aws_s3_bucket_replication_configuration" "this" {
  for_each = local.copied

  bucket     = aws_s3_bucket.this[each.key].id
  role       = var.replication_role
  depends_on = [aws_s3_bucket_versioning.this, aws_s3_bucket_versioning.copy]

  rule {
    id       = "everything"
    priority = 1
    status   = "Enabled"

    filter {}

    delete_marker_replication {
      status = "Enabled"
    }

    source_selection_criteria {
      sse_kms_encrypted_objects {
        status = "Enabled"
      }
    }

    destination {
      bucket        = aws_s3_bucket.copy[each.key].arn
      storage_class = "STANDARD_IA"

      encryption_configuration {
        replica_kms_key_id = var.disaster_key_arn
      }

      replication_time {
        status = "Enabled"

        time {
          minutes = 15
        }
      }

      metrics {
        status = "Enabled"

        event_threshold {
          minutes = 15
        }
      }
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "late" {
  for_each = local.copied

  alarm_name          = "${var.name}-${each.key}-copy-late"
  alarm_description   = "The other region is more than 15 minutes behind; docs/aws.md, the other region."
  namespace           = "AWS/S3"
  metric_name         = "ReplicationLatency"
  statistic           = "Maximum"
  dimensions          = { SourceBucket = local.names[each.key], DestinationBucket = each.value, RuleId = "everything" }
  comparison_operator = "GreaterThanThreshold"
  threshold           = 900
  period              = 300
  evaluation_periods  = 3
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.topic_arn]
  ok_actions          = [var.topic_arn]
}
