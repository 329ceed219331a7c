package arbiter_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPulsarPageChild runs child.py, as docs/pulsar.md has it, over a pulsar that only notes what
// it is asked: nothing leaves before a first notify is answered, also where a hook start sends, and
// an actor is made of whatever spawn may have been called with.
func TestPulsarPageChild(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3: that the child.py of docs/pulsar.md notifies before it sends was not tried")
	}
	page, err := os.ReadFile("docs/pulsar.md")
	if err != nil {
		t.Fatal(err)
	}
	_, child, _ := strings.Cut(string(page), "```python\nimport asyncio, base64")
	child, _, ok := strings.Cut(child, "```")
	if !ok {
		t.Fatal("the page has no child.py")
	}
	for verb, sends := range map[string]string{
		"send":    "    async def send(self, command, *args): return await told(command)\n",
		"request": "    def request(self, command, *args): return asyncio.ensure_future(told(command), loop=self._loop)\n",
	} {
		dir := t.TempDir()
		for name, text := range map[string]string{
			"child.py": "import asyncio, base64" + child,
			"app.py":   "def start(actor): actor.begin('echo')\n",
			"pulsar/utils/config.py": `
class Config:
    event_loop = thread_workers = debug = None
    def __init__(self): self.settings = {'timeout': 30, 'concurrency': None}
    def set(self, key, value): self.settings[key] = value
`,
			"pulsar/async/access.py": "import asyncio\ndef EventLoopPolicy(*args): return asyncio.DefaultEventLoopPolicy()\n",
			"pulsar/async/proxy.py":  "def ActorProxy(impl): return impl.address\n",
			"pulsar/async/mailbox.py": `
import asyncio
async def told(command):
    print(command)
    await asyncio.sleep(0)
    print(command, 'answered')
    return command
class MailboxClient:
` + sends,
			"pulsar/async/concurrency.py": `
import asyncio
from importlib import import_module
class ActorMultiProcess:
    @classmethod
    def make(cls, kind, cfg, name, aid, monitor=None, **params):
        print(kind, name, aid, monitor, sorted(params), sorted(cfg.settings.items()))
        self = cls()
        self.impl, self.params = self, params
        return self
    def begin(self, command):
        self.begun.append(getattr(self.client, '` + verb + `')(command, self, 'arbiter', (), {}))
    def run(self):
        asyncio.new_event_loop().run_until_complete(self.main())
    async def main(self):
        self.begun, self.client = [], import_module('pulsar.async.mailbox').MailboxClient()
        self.client._loop = asyncio.get_event_loop()
        self.params['start'](self)
        self.begin('notify')
        print(await asyncio.gather(*self.begun))
`,
			"main.py": `
import base64, os, pickle, sys
from app import start
from pulsar.utils.config import Config
cfg = Config()
cfg.set('timeout', 50)
os.environ['ARBITER_PULSAR_PARAMS'] = base64.b64encode(pickle.dumps(
    {'aid': 'a1', 'name': 'one', 'kind': 'thread', 'cfg': cfg, 'timeout': 60, 'start': start, 'extra': 1}, 2)).decode()
exec(compile(open('child.py').read(), 'child.py', 'exec'))
`,
			"pulsar/__init__.py": "", "pulsar/async/__init__.py": "", "pulsar/utils/__init__.py": "",
		} {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.CommandContext(t.Context(), python, "-W", "ignore", "main.py", "127.0.0.1", "7979", "a1", "one")
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		want := fmt.Sprintln("process one a1 ('127.0.0.1', 7979) ['extra', 'start'] [('concurrency', 'process'), ('timeout', 60)]") +
			"notify\nnotify answered\necho\nnotify\necho answered\nnotify answered\n['echo', 'notify']\n"
		if err != nil || string(out) != want {
			t.Errorf("%s: %v\n%s\nwant\n%s", verb, err, out, want)
		}
	}
}
