"""The champion over HTTP: pictures come in, answers leave; what is in production by the ledger is what answers."""
