"""Which environment variables tell that a language model calls the command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class AgentVariable(NamedTuple):
    """A variable that agents set for the commands that they call: its name, by whom, and where that is written."""

    name: str
    agents: str
    source: str


AGENT_VARIABLES = (
    AgentVariable("AI_AGENT", "any, by convention", "https://github.com/vercel/vercel/tree/main/packages/detect-agent"),
    AgentVariable("AGENT", "Goose, Amp, Crush, OpenCode", "https://github.com/agentsmd/agents.md/issues/136"),
    AgentVariable("CLAUDECODE", "Claude Code", "https://code.claude.com/docs/en/env-vars"),
    AgentVariable("CODEX_CI", "Codex", "https://github.com/openai/codex/pull/9366"),
    AgentVariable("CODEX_THREAD_ID", "Codex", "https://github.com/openai/codex/issues/15527"),
    AgentVariable("COPILOT_CLI", "GitHub Copilot CLI", "https://github.com/github/copilot-cli/blob/main/changelog.md"),
    AgentVariable("CURSOR_AGENT", "Cursor", "https://cursor.com/docs/agent/tools/terminal"),
    AgentVariable("GEMINI_CLI", "Gemini CLI", "https://google-gemini.github.io/gemini-cli/docs/tools/shell.html"),
    AgentVariable("AUGMENT_AGENT", "Augment", "https://docs.augmentcode.com/cli/reference"),
    AgentVariable("VSCODE_AGENT", "VS Code", "https://code.visualstudio.com/updates/v1_121"),
)


def is_called_by_agent(environ: Mapping[str, str]) -> bool:
    """Whether any of the variables has a value."""
    return any(environ.get(variable.name) for variable in AGENT_VARIABLES)
