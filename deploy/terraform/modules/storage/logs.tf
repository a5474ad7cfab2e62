# Who read which object, and what reached the load balancer.
resource "aws_s3_bucket" "logs" {
  #checkov:skip=CKV_AWS_144:logs are not copied
  #checkov:skip=CKV_AWS_145:S3 and load balancers write their logs into buckets with keys of S3 alone
  #checkov:skip=CKV_AWS_18:a bucket of logs does not log itself
  #checkov:skip=CKV2_AWS_62:nobody waits for logs
  bucket        = "${var.name}-logs"
  force_destroy = !var.protected
}

resource "aws_s3_bucket_versioning" "logs" {
  bucket = aws_s3_bucket.logs.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "logs" {
  bucket = aws_s3_bucket.logs.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_public_access_block" "logs" {
  bucket                  = aws_s3_bucket.logs.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "logs" {
  bucket = aws_s3_bucket.logs.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "logs" {
  bucket     = aws_s3_bucket.logs.id
  depends_on = [aws_s3_bucket_versioning.logs]

  rule {
    id     = "old"
    status = "Enabled"

    filter {}

    expiration {
      days = 400
    }

    noncurrent_version_expiration {
      noncurrent_days = var.noncurrent_days
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 2
    }
  }
}

resource "aws_s3_bucket_policy" "logs" {
  bucket     = aws_s3_bucket.logs.id
  depends_on = [aws_s3_bucket_public_access_block.logs]
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      jsondecode(templatefile("${path.root}/policies/bucket.json", { bucket = "${var.name}-logs" })).Statement,
      [
        {
          Sid       = "Buckets"
          Effect    = "Allow"
          Principal = { Service = "logging.s3.amazonaws.com" }
          Action    = "s3:PutObject"
          Resource  = "arn:aws:s3:::${var.name}-logs/*"
          Condition = { StringEquals = { "aws:SourceAccount" = var.account_id } }
        },
        {
          Sid       = "LoadBalancers"
          Effect    = "Allow"
          Principal = { Service = "logdelivery.elasticloadbalancing.amazonaws.com" }
          Action    = "s3:PutObject"
          Resource  = "arn:aws:s3:::${var.name}-logs/server/AWSLogs/${var.account_id}/*"
        },
      ],
    )
  })
}
