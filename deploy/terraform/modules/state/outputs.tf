output "id" {
  description = "Identifier of the database."
  value       = aws_db_instance.this.identifier
}

output "host" {
  description = "PGHOST."
  value       = aws_db_instance.this.address
}

output "port" {
  description = "PGPORT."
  value       = aws_db_instance.this.port
}

output "user" {
  description = "PGUSER."
  value       = aws_db_instance.this.username
}

output "database" {
  description = "PGDATABASE."
  value       = aws_db_instance.this.db_name
}

output "secret_arn" {
  description = "Secret with the password, as JSON."
  value       = aws_db_instance.this.master_user_secret[0].secret_arn
}
