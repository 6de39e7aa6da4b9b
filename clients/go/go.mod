module github.com/latchd/latchd/clients/go

go 1.22
