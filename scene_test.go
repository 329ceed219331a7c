//go:build linux

package arbiter_test

import (
	"os"

	"github.com/arbiter-go/arbiter/actor"
)

// envScene has a child of the test be one of the programs of scenes.
const envScene = "ARBITER_TEST_SCENE"

// playScene runs the scene that the environment names, if it names one, and exits.
func playScene() {
	if play := scenes()[os.Getenv(envScene)]; play != nil {
		play()
		os.Exit(0)
	}
}

// sceneKinds are the kinds that live in processes of scenes and of the tests
// beside them.
func sceneKinds() []actor.Behaviour {
	return []actor.Behaviour{Stressed, Doomed, Forker, Greeter, Farewell, Unborn, Bomber, Newborn}
}
