import unittest

from my_client import ask

from sagemaker_bidi import Emulator
from sagemaker_bidi_fixtures.containers.echo import EchoContainer


class MyClient(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        container = await self.enterAsyncContext(EchoContainer(port=0))
        self.emulator = await self.enterAsyncContext(Emulator({"voice": container.url}))
        self.enterContext(self.emulator.environment())

    async def test_it_gets_its_answers(self):
        self.assertEqual(await ask("voice", ["one", "two"]), ["one", "two"])

    async def test_it_is_told_that_the_container_died(self):
        with (
            self.emulator.scenario("container-dies", after_parts=1),
            self.assertRaisesRegex(Exception, "closed the connection"),
        ):
            await ask("voice", ["one", "two"])


if __name__ == "__main__":
    unittest.main()
