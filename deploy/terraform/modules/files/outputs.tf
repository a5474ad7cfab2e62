output "id" {
  description = "The file system."
  value       = aws_efs_file_system.this.id
}

output "warehouse" {
  description = "Access point of cycles, maintenance and streams."
  value       = aws_efs_access_point.this["warehouse"].id
}

output "server" {
  description = "Access point of the server."
  value       = aws_efs_access_point.this["server"].id
}
