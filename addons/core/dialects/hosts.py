"""Public hosts and whose they are; for calls that no upstream of the configuration names (imports of recorded traffic).

Sources: the providers' API references, and the base URLs of their own SDKs. The names are those of `core/providers.py` where it has
one, else the provider's own.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import lru_cache

HOSTS: tuple[tuple[str, str], ...] = (
    ("api.openai.com", "openai"),
    ("*.api.openai.com", "openai"),  # eu., us.
    ("chatgpt.com", "openai"),
    ("api.anthropic.com", "anthropic"),
    ("generativelanguage.googleapis.com", "gemini"),
    ("cloudcode-pa.googleapis.com", "gemini"),
    ("aiplatform.googleapis.com", "vertex"),
    ("*-aiplatform.googleapis.com", "vertex"),
    ("aiplatform.*.rep.googleapis.com", "vertex"),
    ("ollama.com", "ollama"),
    ("*.openai.azure.com", "azure"),
    ("*.cognitiveservices.azure.com", "azure"),
    ("*.services.ai.azure.com", "azure"),
    ("*.models.ai.azure.com", "azure"),
    ("bedrock-runtime*.amazonaws.com", "bedrock"),
    ("bedrock-mantle.*.api.aws", "bedrock"),
    ("openrouter.ai", "openrouter"),
    ("api.mistral.ai", "mistral"),
    ("codestral.mistral.ai", "mistral"),
    ("api.deepseek.com", "deepseek"),
    ("api.groq.com", "groq"),
    ("api.x.ai", "xai"),
    ("*.api.x.ai", "xai"),
    ("api.cohere.com", "cohere"),
    ("api.cohere.ai", "cohere"),
    ("api.perplexity.ai", "perplexity"),
    ("api.voyageai.com", "voyage"),
    ("api.together.xyz", "together"),
    ("api.together.ai", "together"),
    ("api.fireworks.ai", "fireworks"),
    ("api.jina.ai", "jina"),
    ("api.cerebras.ai", "cerebras"),
    ("api.moonshot.ai", "moonshot"),
    ("api.moonshot.cn", "moonshot"),
    ("api.novita.ai", "novita"),
    ("router.huggingface.co", "huggingface"),
    ("api-inference.huggingface.co", "huggingface"),
    ("*.endpoints.huggingface.cloud", "huggingface"),
    ("*.ml.cloud.ibm.com", "watsonx"),
    ("integrate.api.nvidia.com", "nvidia"),
    ("api.sambanova.ai", "sambanova"),
    ("api.z.ai", "zai"),
    ("open.bigmodel.cn", "zai"),
    ("dashscope*.aliyuncs.com", "dashscope"),
    ("api.minimax.io", "minimax"),
    ("api.ai21.com", "ai21"),
    ("api.writer.com", "writer"),
    ("api.venice.ai", "venice"),
    ("api.deepinfra.com", "deepinfra"),
    ("api.studio.nebius.*", "nebius"),
    ("api.hyperbolic.xyz", "hyperbolic"),
    ("api.replicate.com", "replicate"),
    ("api.aleph-alpha.com", "aleph-alpha"),
    ("api.inference.crusoecloud.com", "crusoe"),
    ("*.inference.heroku.com", "heroku"),
    ("ai-gateway.vercel.sh", "vercel"),
    ("gateway.ai.cloudflare.com", "cloudflare"),
    ("api.cloudflare.com", "cloudflare"),
    ("*.githubcopilot.com", "copilot"),
    ("localhost", "local"),
    ("127.*", "local"),
    ("10.*", "local"),
    ("192.168.*", "local"),
    ("*.local", "local"),
    ("models.github.ai", "github"),
    ("*.azuredatabricks.net", "databricks"),
    ("*.cloud.databricks.com", "databricks"),
    ("*.snowflakecomputing.com", "snowflake"),
)


@lru_cache(1024)
def provider_of(host: str) -> str | None:
    """Whose public host this is; a port is not looked at. None: not known."""
    name = host.lower().rpartition("@")[2].partition(":")[0].rstrip(".")
    return next((provider for glob, provider in HOSTS if fnmatchcase(name, glob)), None)
