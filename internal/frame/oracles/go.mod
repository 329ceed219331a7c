module github.com/arbiter-go/arbiter/internal/frame/oracles

go 1.26.0

replace github.com/arbiter-go/arbiter => ../../../

require (
	github.com/arbiter-go/arbiter v0.0.0-00010101000000-000000000000
	github.com/coder/websocket v1.8.15
	github.com/gobwas/ws v1.5.0
)

require github.com/gobwas/httphead v0.1.0 // indirect
