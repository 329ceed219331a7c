//go:build !linux

package arbiter_test

import "github.com/arbiter-go/arbiter/actor"

func playScene() {}

func sceneKinds() []actor.Behaviour { return nil }
