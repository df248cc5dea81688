"""The example workflow in ComfyUI itself: its loader of custom nodes, its check of a prompt, its executor, its LoadImage and LoadAudio.

`PYTHON -m tests.comfy_nodes.in_comfyui COMFYUI MODEL FACE VOICE OUT` in a Python that has ComfyUI's requirements and this project's; COMFYUI is the folder of its
main.py. It prints the path of the video. ComfyUI is in no package registry as a package; `test_nodes.py` calls this where `$COMFYUI` and
`$COMFYUI_PYTHON` say where there is one.
"""

import asyncio
import importlib
import json
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(comfyui: Path, model: Path, face: Path, voice: Path, out: Path) -> Path:
    """The path of the video that the workflow's last node wrote."""
    sys.argv = ["main.py", "--cpu", "--disable-api-nodes"]
    sys.path.insert(0, str(comfyui))
    import comfy.options

    comfy.options.enable_args_parsing()
    importlib.import_module("utils.extra_config")  # as main.py does: `nodes` puts another `utils` before it
    import execution
    import folder_paths
    import nodes
    import server

    given = out / "input"
    given.mkdir(parents=True)
    shutil.copyfile(face, given / "face.png")
    shutil.copyfile(voice, given / "voice.wav")
    folder_paths.set_input_directory(str(given))
    folder_paths.set_output_directory(str(out / "output"))
    custom = out / "custom_nodes"
    custom.mkdir()
    (custom / "omnihuman").symlink_to(ROOT / "comfy_nodes")
    workflow = json.loads((ROOT / "comfy_nodes" / "workflow.json").read_text())
    workflow["1"]["inputs"]["model"] = str(model)

    async def execute() -> Path:
        prompt_server = server.PromptServer(asyncio.get_running_loop())
        assert await nodes.load_custom_node(str(custom / "omnihuman")), "ComfyUI did not take the nodes"
        assert await nodes.load_custom_node(
            str(comfyui / "comfy_extras" / "nodes_audio.py"), module_parent="comfy_extras"
        )
        valid = await execution.validate_prompt("1", workflow, None)
        assert valid[0], valid
        executor = execution.PromptExecutor(prompt_server)
        await executor.execute_async(workflow, "1", {}, valid[2])
        assert executor.success, executor.status_messages
        shown = executor.history_result["outputs"]["5"]["images"][0]
        return out / "output" / shown["subfolder"] / shown["filename"]

    return asyncio.run(execute())


if __name__ == "__main__":
    print(run(*map(Path, sys.argv[1:])))
