//! The APIs, and which one a request is for.

/// An API of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Api {
    /// OpenAI `POST /v1/chat/completions`, and the many servers that have the same.
    OpenAiChat,
    /// OpenAI `POST /v1/responses`.
    OpenAiResponses,
    /// OpenAI `POST /v1/completions`.
    OpenAiCompletions,
    /// OpenAI `POST /v1/embeddings`.
    OpenAiEmbeddings,
    /// Anthropic `POST /v1/messages`.
    AnthropicMessages,
    /// Gemini `models/…:generateContent` and `:streamGenerateContent`, also of Vertex AI.
    Gemini,
    /// Ollama `POST /api/chat`.
    OllamaChat,
    /// Ollama `POST /api/generate`.
    OllamaGenerate,
    /// Amazon Bedrock `Converse` and `ConverseStream`.
    BedrockConverse,
    /// Amazon Bedrock `InvokeModel` and `InvokeModelWithResponseStream`: the body depends on the model.
    BedrockInvoke,
}

impl Api {
    /// The API that the path of a URL belongs to, whatever it is below.
    ///
    /// ```
    /// use attestry_genai::Api;
    ///
    /// assert_eq!(Api::from_path("/v1/chat/completions"), Some(Api::OpenAiChat));
    /// assert_eq!(Api::from_path("/openai/deployments/d/chat/completions?api-version=1"), Some(Api::OpenAiChat));
    /// assert_eq!(Api::from_path("/v1/models"), None);
    /// ```
    #[must_use]
    pub fn from_path(path: &str) -> Option<Self> {
        let path = path.split(['?', '#']).next()?.trim_end_matches('/');
        let ends = |end: &str| path.ends_with(end);
        let apis = [
            (Self::OpenAiChat, ends("/chat/completions")),
            (Self::OpenAiCompletions, ends("/completions")),
            (Self::OpenAiResponses, ends("/responses")),
            (Self::OpenAiEmbeddings, ends("/embeddings")),
            (Self::AnthropicMessages, ends("/messages")),
            (Self::Gemini, ends(":generateContent") || ends(":streamGenerateContent")),
            (Self::OllamaChat, ends("/api/chat")),
            (Self::OllamaGenerate, ends("/api/generate")),
            (Self::BedrockConverse, ends("/converse") || ends("/converse-stream")),
            (Self::BedrockInvoke, ends("/invoke") || ends("/invoke-with-response-stream")),
        ];
        apis.into_iter().find(|(_, is_it)| *is_it).map(|(api, _)| api)
    }

    /// The provider that the API is of, in the names of the OpenTelemetry conventions.
    #[must_use]
    pub const fn provider(self) -> &'static str {
        match self {
            Self::OpenAiChat
            | Self::OpenAiResponses
            | Self::OpenAiCompletions
            | Self::OpenAiEmbeddings => "openai",
            Self::AnthropicMessages => "anthropic",
            Self::Gemini => "gcp.gemini",
            Self::OllamaChat | Self::OllamaGenerate => "ollama",
            Self::BedrockConverse | Self::BedrockInvoke => "aws.bedrock",
        }
    }

    /// The operation: the value of `gen_ai.operation.name`.
    #[must_use]
    pub const fn operation(self) -> &'static str {
        match self {
            Self::OpenAiCompletions | Self::OllamaGenerate => "text_completion",
            Self::OpenAiEmbeddings => "embeddings",
            Self::Gemini => "generate_content",
            _ => "chat",
        }
    }
}
