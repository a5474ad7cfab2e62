# Buckets: the landing, the lake, the releases of everything and one bucket of releases for each role, since the bucket
# is what keeps a role from what it must not see. Releases follow from the lake, so only landing and lake are copied to
# the other region.
locals {
  roles     = toset(concat(["everything"], var.access_roles))
  published = { for role in local.roles : "published-${role}" => role == "everything" ? "${var.name}-published" : "${var.name}-published-${role}" }
  names     = merge({ landing = "${var.name}-landing", lake = "${var.name}-lake" }, local.published)
  copied    = { landing = "${var.name}-landing-copy", lake = "${var.name}-lake-copy" }
}

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV_AWS_144:landing and lake are copied, see replication.tf; releases follow from the lake
  #checkov:skip=CKV2_AWS_62:the project lists buckets; notifications are an option (docs/running.md)
  for_each = local.names

  bucket        = each.value
  force_destroy = !var.protected
}

resource "aws_s3_bucket_versioning" "this" {
  for_each = local.names

  bucket = aws_s3_bucket.this[each.key].id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  for_each = local.names

  bucket = aws_s3_bucket.this[each.key].id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = var.key_arn
    }
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  for_each = local.names

  bucket                  = aws_s3_bucket.this[each.key].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  for_each = local.names

  bucket = aws_s3_bucket.this[each.key].id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

# What was replaced or deleted is gone after noncurrent_days: an erasure deletes current versions alone.
resource "aws_s3_bucket_lifecycle_configuration" "this" {
  for_each = local.names

  bucket     = aws_s3_bucket.this[each.key].id
  depends_on = [aws_s3_bucket_versioning.this]

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

resource "aws_s3_bucket_logging" "this" {
  for_each = local.names

  bucket        = aws_s3_bucket.this[each.key].id
  target_bucket = aws_s3_bucket.logs.id
  target_prefix = "${each.key}/"
}

resource "aws_s3_bucket_policy" "this" {
  for_each = local.names

  bucket     = aws_s3_bucket.this[each.key].id
  depends_on = [aws_s3_bucket_public_access_block.this]
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      jsondecode(templatefile("${path.root}/policies/bucket.json", { bucket = each.value })).Statement,
      each.key == "landing" && length(var.landing_writers) > 0 ? [{
        Sid       = "Producers"
        Effect    = "Allow"
        Principal = { AWS = var.landing_writers }
        Action    = "s3:PutObject"
        Resource  = "arn:aws:s3:::${each.value}/*"
      }] : [],
    )
  })
}
