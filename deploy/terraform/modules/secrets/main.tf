# Places of secrets. Their values are put by hand (docs/aws.md), so that no state of Terraform has them; the copies in the
# other region have them too, since a lake without its erasure key loads nothing.
resource "aws_secretsmanager_secret" "this" {
  #checkov:skip=CKV2_AWS_57:the key of tombstones must never change, and a new key of a role rewrites its releases
  for_each = var.settings

  name                    = "${var.name}/${each.key}"
  description             = "The setting ${each.key} (docs/settings.md)"
  kms_key_id              = var.key_arn
  recovery_window_in_days = 30

  replica {
    region     = var.disaster_region
    kms_key_id = var.disaster_key_arn
  }
}
