"""What `sms/twilio` and `whatsapp/twilio` share: one account, one client, one table of codes, one kind of webhook."""
