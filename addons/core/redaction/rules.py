r"""The rules of the scanner, as data: which shapes of text are credentials.

Two kinds, because they are found in two ways (`scanner.py`):

- A `TokenRule` is a value that bears its own mark (`ghp_…`, `AIza…`): a literal `prefix`, then `rest`. It is looked for
  only inside long runs of token characters, and only where no token character stands before it. `before` is the
  number of characters that may precede the mark where the mark is not the beginning (`12345678:AA…`).
- A `ContextRule` is a value that is known by what stands before it (`password = "…"`): one of the literal `keywords`
  (lower case, matched in any case), then `pattern` from there on, whose group `secret` is the value.

Every quantifier is bounded or runs over one character class that cannot contain the keyword's own boundary, so a match
costs at most some hundred steps and the whole scan is linear. The patterns see raw JSON: a quote may be `\"`, a line end `\n`.

Sources: the token formats that the services document themselves (named by the rule).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TokenRule:
    """`prefix` is a literal, `rest` a regular expression over bytes; `digits` and `entropy` (bits per character) are floors."""

    name: str
    prefix: str
    rest: str
    before: int = 0
    lead: str = ""
    digits: int = 0
    entropy: float = 0.0


@dataclass(frozen=True, slots=True)
class ContextRule:
    """`pattern` begins right after the keyword and has a group `secret`; `digits` and `entropy` are floors on that group."""

    name: str
    keywords: tuple[str, ...]
    pattern: str
    digits: int = 0
    entropy: float = 0.0
    keep_tail: bool = True


_T = TokenRule

TOKEN_RULES: tuple[TokenRule, ...] = (
    # model providers and their kin
    _T("anthropic-key", "sk-ant-", r"[\w-]{20,200}"),
    _T("openrouter-key", "sk-or-", r"[\w-]{20,200}", digits=1),
    _T("openai-key", "sk-", r"(?:proj-|svcacct-|admin-|None-)?[\w-]{20,250}", digits=1, entropy=3.0),
    _T("google-api-key", "AIza", r"[\w-]{35}(?![\w-])", digits=1),
    _T("google-api-key", "AQ.A", r"[\w-]{40,120}", digits=1),
    _T("google-oauth-token", "ya29.", r"[\w.-]{20,400}"),
    _T("google-client-secret", "GOCSPX-", r"[\w-]{20,40}"),
    _T("groq-key", "gsk_", r"[A-Za-z0-9]{32,80}"),
    _T("xai-key", "xai-", r"[A-Za-z0-9]{40,120}"),
    _T("huggingface-token", "hf_", r"[A-Za-z0-9]{30,42}(?![A-Za-z0-9])"),
    _T("huggingface-token", "api_org_", r"[A-Za-z0-9]{30,60}"),
    _T("replicate-token", "r8_", r"[A-Za-z0-9]{30,60}"),
    _T("perplexity-key", "pplx-", r"[A-Za-z0-9]{32,80}"),
    _T("fireworks-key", "fw_", r"[A-Za-z0-9]{20,60}", digits=1),
    _T("nvidia-key", "nvapi-", r"[\w-]{40,100}"),
    _T("cerebras-key", "csk-", r"[a-z0-9]{40,80}"),
    _T("together-key", "tgp_v1_", r"[\w-]{30,80}"),
    _T("jina-key", "jina_", r"[A-Za-z0-9]{40,80}"),
    _T("pinecone-key", "pcsk_", r"\w{40,100}"),
    _T("tavily-key", "tvly-", r"[\w-]{20,60}", digits=1),
    _T("voyage-key", "pa-", r"[\w-]{40,60}", digits=3, entropy=4.0),
    _T("langsmith-key", "lsv2_", r"(?:pt|sk)_[0-9a-f_]{32,80}"),
    _T("elevenlabs-key", "sk_", r"[0-9a-f]{40,60}"),
    # clouds
    _T("aws-access-key-id", "AKIA", r"[A-Z0-9]{16}(?![A-Za-z0-9])"),
    _T("aws-access-key-id", "ASIA", r"[A-Z0-9]{16}(?![A-Za-z0-9])"),
    _T("aws-access-key-id", "ABIA", r"[A-Z0-9]{16}(?![A-Za-z0-9])"),
    _T("aws-access-key-id", "ACCA", r"[A-Z0-9]{16}(?![A-Za-z0-9])"),
    _T("aws-bedrock-key", "ABSK", r"[A-Za-z0-9+/]{100,300}={0,2}"),
    _T("aws-bedrock-key", "bedrock-api-key-", r"[A-Za-z0-9+/=_-]{20,2000}"),
    _T("azure-client-secret", "Q~", r"[\w~.-]{31,34}(?![\w~.-])", before=4, lead=r"[\w~.-]{3}[0-9]"),
    _T("azure-storage-key", "AccountKey=", r"[A-Za-z0-9+/]{80,90}={0,2}"),
    _T("azure-shared-access", "SharedAccessKey=", r"[A-Za-z0-9+/]{40,90}={0,2}"),
    _T("digitalocean-token", "do", r"[opr]_v1_[0-9a-f]{64}"),
    _T("alibaba-access-key", "LTAI", r"[A-Za-z0-9]{12,24}", digits=1),
    _T("cloudflare-origin-key", "v1.0-", r"[0-9a-f]{24}-[0-9a-f]{146}"),
    _T("heroku-key", "HRKU-", r"[\w-]{30,70}"),
    _T("flyio-token", "fo1_", r"[\w-]{40,60}"),
    _T("flyio-token", "fm", r"[12][ar]?_[A-Za-z0-9+/]{90,2000}={0,3}"),
    _T("planetscale-token", "pscale_", r"(?:tkn|pw|oauth)_[\w=.-]{30,70}"),
    _T("supabase-key", "sbp_", r"[0-9a-f]{40}"),
    _T("supabase-key", "sb_secret_", r"[\w-]{20,60}"),
    _T("netlify-token", "nfp_", r"[A-Za-z0-9]{30,50}"),
    _T("scaleway-token", "tk-us-", r"[\w-]{40,60}"),
    _T("openshift-token", "sha256~", r"[\w-]{43}"),
    _T("tailscale-key", "tskey-", r"[\w-]{20,80}", digits=1),
    _T("databricks-token", "dapi", r"[0-9a-f]{32}(?:-[0-9])?"),
    _T("defined-networking-token", "dnkey-", r"[\w=-]{26}-[\w=-]{52}"),
    # source hosting and package registries
    _T("github-token", "gh", r"[pousr]_[A-Za-z0-9]{36,255}"),
    _T("github-token", "github_pat_", r"\w{40,255}"),
    _T("gitlab-token", "gl", r"(?:pat|ptt|rt|dt|ft|soat|cbt|imt|agent|oas|ffct)-(?:t\d_)?[\w.-]{20,120}"),
    _T("gitlab-token", "GR1348941", r"[\w-]{20}"),
    _T("npm-token", "npm_", r"[A-Za-z0-9]{36}"),
    _T("pypi-token", "pypi-", r"[\w-]{50,1000}"),
    _T("rubygems-token", "rubygems_", r"[0-9a-f]{48}"),
    _T("clojars-token", "CLOJARS_", r"[A-Za-z0-9]{60}"),
    _T("docker-token", "dckr_", r"(?:pat|oat)_[\w-]{20,60}"),
    _T("artifactory-key", "AKCp", r"[A-Za-z0-9]{69}"),
    _T("artifactory-token", "cmVmdGtu", r"[A-Za-z0-9]{56}"),
    _T("atlassian-token", "AT", r"[AC]TT3[A-Za-z0-9_=-]{60,300}"),
    _T("bitbucket-password", "ATBB", r"[A-Za-z0-9]{28,40}"),
    _T("sourcegraph-token", "sgp_", r"(?:[0-9a-f]{16}_|local_)?[0-9a-f]{40}"),
    _T("pulumi-token", "pul-", r"[0-9a-f]{40}"),
    _T("terraform-token", ".atlasv1.", r"[\w=-]{60,70}", before=14, lead=r"[A-Za-z0-9]{14}"),
    # payments and shops
    _T("stripe-key", "sk_", r"(?:live|test|prod)_[A-Za-z0-9]{10,120}"),
    _T("stripe-key", "rk_", r"(?:live|test|prod)_[A-Za-z0-9]{10,120}"),
    _T("stripe-webhook-secret", "whsec_", r"[A-Za-z0-9+/=]{24,64}"),
    _T("shopify-token", "shp", r"(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    _T("square-token", "sq0", r"(?:atp|csp|idp)-[\w-]{22,60}"),
    _T("square-token", "EAAA", r"[\w-]{56,60}", digits=1, entropy=4.0),
    _T("facebook-token", "EAA", r"[MC][A-Za-z0-9]{80,400}"),
    _T("flutterwave-key", "FLW", r"(?:SECK|PUBK)_TEST-[0-9a-hA-H]{12,40}(?:-X)?"),
    _T("easypost-key", "EZ", r"[AT]K[A-Za-z0-9]{54}(?![A-Za-z0-9+/])"),
    _T("shippo-token", "shippo_", r"(?:live|test)_[0-9a-fA-F]{40}"),
    _T("duffel-token", "duffel_", r"(?:live|test)_[\w=-]{43}"),
    _T("plaid-token", "access-", r"(?:sandbox|development|production)-[0-9a-f-]{36}"),
    # chat and mail
    _T("slack-token", "xox", r"[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{10,250}", digits=1),
    _T("slack-token", "xapp-", r"\d-[A-Z0-9]{1,20}-\d{1,20}-[A-Za-z0-9]{10,100}"),
    _T("slack-webhook", "hooks.slack.com/", r"(?:services|workflows|triggers)/[A-Za-z0-9+/]{30,100}"),
    _T("teams-webhook", "webhook.office.com/", r"webhookb2/[\w@/-]{60,300}"),
    _T("sendgrid-key", "SG.", r"[\w-]{16,32}\.[\w-]{16,64}"),
    _T("twilio-key", "SK", r"[0-9a-f]{32}(?![A-Za-z0-9])"),
    _T("telegram-bot-token", ":A", r"[\w-]{34}(?![\w-])", before=16, lead=r"[0-9]{5,16}"),
    _T("mailchimp-key", "-us", r"\d{1,2}(?!\w)", before=32, lead=r"[0-9a-f]{32}"),
    _T("mailgun-key", "key-", r"[0-9a-f]{32}"),
    _T("mailgun-key", "pubkey-", r"[0-9a-f]{32}"),
    _T("brevo-key", "xkeysib-", r"[0-9a-f]{64}-[A-Za-z0-9]{16}"),
    # tools and monitoring
    _T("postman-key", "PMAK-", r"[0-9a-f]{24}-[0-9a-f]{34}"),
    _T("linear-key", "lin_", r"(?:api|oauth)_[A-Za-z0-9]{40,64}"),
    _T("notion-token", "ntn_", r"[A-Za-z0-9]{40,60}"),
    _T("notion-token", "secret_", r"[A-Za-z0-9]{43}(?!\w)"),
    _T("figma-token", "figd_", r"[\w-]{30,60}"),
    _T("airtable-token", "pat", r"[A-Za-z0-9]{14}\.[0-9a-f]{64}"),
    _T("vault-token", "hv", r"[sbr]\.[\w-]{24,300}"),
    _T("vault-token", "s.", r"[A-Za-z0-9]{24}(?![\w.(])", digits=1, entropy=3.5),
    _T("doppler-token", "dp.", r"(?:pt|st|ct|sa|scim|audit)\.[\w.]{30,70}"),
    _T("new-relic-key", "NR", r"(?:AK|JS|II|IQ|RA|SP)-[A-Za-z0-9-]{19,64}", digits=1),
    _T("grafana-token", "gl", r"(?:c|sa)_[A-Za-z0-9+/_]{32,400}={0,3}"),
    _T("grafana-key", "eyJrIjoi", r"[A-Za-z0-9]{60,400}={0,3}"),
    _T("sentry-token", "sntry", r"[su]_[A-Za-z0-9+/=_-]{60,600}"),
    _T("dynatrace-token", "dt0c01.", r"[A-Za-z0-9]{24}\.[A-Za-z0-9]{64}"),
    _T("prefect-token", "pnu_", r"[A-Za-z0-9]{36}"),
    _T("adafruit-key", "aio_", r"[A-Za-z0-9]{28}"),
    _T("typeform-token", "tfp_", r"[\w.=-]{59}"),
    _T("contentful-token", "CFPAT-", r"[\w-]{43}"),
    _T("readme-key", "rdme_", r"[a-z0-9]{70}"),
    _T("infracost-key", "ico-", r"[A-Za-z0-9]{32}(?![\w.-])"),
    _T("frameio-token", "fio-u-", r"[\w=-]{64}"),
    _T("dropbox-token", "sl.", r"[\w=-]{100,2000}"),
    _T("lob-key", "live_", r"[0-9a-f]{35}"),
    _T("lob-key", "test_", r"[0-9a-f]{35}"),
    _T("mapbox-token", "pk.", r"[A-Za-z0-9]{60}\.[A-Za-z0-9]{22}"),
    _T("harness-key", "pat.", r"[\w-]{22}\.[0-9a-z]{24}\.[A-Za-z0-9]{20}"),
    _T("harness-key", "sat.", r"[\w-]{22}\.[0-9a-z]{24}\.[A-Za-z0-9]{20}"),
    _T("settlemint-token", "sm_", r"[aps]at_[A-Za-z0-9]{16}"),
    _T("octopus-key", "API-", r"[A-Z0-9]{26}(?!\w)"),
    _T("intra42-secret", "s-s4t2", r"(?:ud|af)-[0-9a-f]{64}"),
    _T("yandex-key", "AQVN", r"[\w-]{35,38}"),
    _T("yandex-token", "t1.", r"[A-Z0-9a-z_-]{1,200}={0,2}\.[\w-]{86}={0,2}"),
    _T("1password-token", "ops_eyJ", r"[A-Za-z0-9+/]{250,2000}={0,3}"),
    _T("1password-secret-key", "A3-", r"[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})(?:-[A-Z0-9]{5}){3}"),
    _T("age-secret-key", "AGE-SECRET-KEY-1", r"[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}"),
    _T("maxmind-key", "_mmk", r"(?![A-Za-z0-9])", before=36, lead=r"[A-Za-z0-9]{6}_[A-Za-z0-9]{29}"),
    _T("jwt", "ey", r"[A-Za-z0-9_-]{12,4000}\.ey[A-Za-z0-9_-]{8,8000}\.[A-Za-z0-9_-]{10,4000}"),
)

Q = r"(?:\\{0,3}[\"'`])"
"""A quote, bare or escaped as it is inside a JSON string."""

GAP = r"(?:\s|\\{1,3}[nrt])"
"""White space, bare or escaped."""

ASSIGN = rf"{Q}?\]?{GAP}{{0,5}}(?:string{GAP})?(?:[?.|+:]{{0,3}}[=:>]{{1,3}}|,|\(){GAP}{{0,20}}"
"""What stands between a name and its value in code, JSON, YAML, XML and shell."""

_SECRET_NAMES = (
    "secret",
    "token",
    "passw",
    "pwd",
    "api_key",
    "apikey",
    "api-key",
    "api key",
    "access_key",
    "accesskey",
    "access-key",
    "private_key",
    "privatekey",
    "credential",
    "auth",
    "licensekey",
    "license_key",
    "signing_key",
    "encryption_key",
)

_NOT_A_VALUE = r"(?!\*\*\*|\$\{|\{\{|<|%[sd(])"

CONTEXT_RULES: tuple[ContextRule, ...] = (
    ContextRule(
        "private-key",
        ("-----begin ",),
        rf"[A-Za-z0-9 ]{{0,40}}PRIVATE KEY(?: BLOCK)?-----{GAP}{{0,8}}(?:[A-Z][A-Za-z-]{{2,20}}: [^\n\\]{{1,80}}{GAP}{{1,8}}){{0,4}}"
        rf"(?P<secret>(?:[A-Za-z0-9+/=]|\\/){{16}}(?:[A-Za-z0-9+/=]|{GAP}|\\/)*+)",
        keep_tail=False,
    ),
    ContextRule(
        "url-password",
        ("://",),
        rf"[^\s:@/\"'\\<>]{{0,100}}:{_NOT_A_VALUE}(?!(?:pass|passwd|password|pwd|secret|x{{1,40}})@)(?P<secret>[^\s@/\"'\\<>{{}}]{{3,200}})@[A-Za-z0-9\[]",
        keep_tail=False,
    ),
    ContextRule(
        "authorization",
        ("bearer",),
        rf"{GAP}{{1,3}}(?P<secret>[A-Za-z0-9_.=+/~-]{{16,4000}})",
        digits=1,
        entropy=3.0,
    ),
    ContextRule(
        "authorization",
        ("basic ",),
        r"(?P<secret>[A-Za-z0-9+/]{12,1000}={0,2})(?![\w.])",
        digits=1,
        entropy=3.0,
        keep_tail=False,
    ),
    ContextRule(
        "aws-secret-access-key",
        ("secret_access_key", "secretaccesskey", "aws_secret", "awssecret"),
        rf"\w{{0,20}}{ASSIGN}{Q}?(?P<secret>(?:[A-Za-z0-9/+=]|\\/){{40,48}})(?![A-Za-z0-9/+=])",
        entropy=3.0,
    ),
    ContextRule(
        "curl-user",
        (" -u ", " --user "),
        rf"{GAP}{{0,3}}{Q}?[^\s:\"'\\]{{1,100}}:{_NOT_A_VALUE}(?P<secret>[^\s\"'\\]{{6,200}})",
        keep_tail=False,
    ),
    ContextRule(
        "password",
        ("password", "passwd", "passphrase", "pwd"),
        rf"\w{{0,20}}{Q}?{GAP}{{0,3}}(?:[=:]|=>){GAP}{{0,3}}{Q}{_NOT_A_VALUE}(?P<secret>[^\s\"'\\`]{{6,200}}){Q}",
        keep_tail=False,
    ),
    ContextRule(
        "secret-assignment",
        _SECRET_NAMES,
        rf"[\w.-]{{0,30}}+{ASSIGN}{Q}{_NOT_A_VALUE}(?P<secret>[A-Za-z0-9_.+/=~:@!-]{{12,400}}+){Q}",
        digits=2,
        entropy=3.0,
    ),
    ContextRule(
        "secret-assignment",
        _SECRET_NAMES,
        rf"[\w.-]{{0,30}}+{ASSIGN}{_NOT_A_VALUE}(?P<secret>[A-Za-z0-9_+/=~-]{{16,400}}+)(?![\w(\[.])",
        digits=3,
        entropy=3.2,
    ),
)

PAGING_NAMES = ("page", "continuation", "next", "cancel", "sync", "cache", "max", "min", "num")
"""Words before `token` that make it a position or a count, not a credential (`nextPageToken`, `max_tokens`)."""

EXAMPLES = ("example", "placeholder", "your_", "your-", "yourkey", "xxxx", "changeme", "redacted", "dummy")
"""Words that show a value to be documentation's stand-in."""
