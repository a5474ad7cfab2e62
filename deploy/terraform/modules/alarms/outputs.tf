output "topic" {
  description = "Topic of alarms."
  value       = aws_sns_topic.this.arn
}
