"""Tell people and programs about nights: chats, webhooks, e-mail."""
