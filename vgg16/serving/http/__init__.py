"""What of HTTP is not about pictures: connections, who is let in, bodies, and how a request is refused."""
