//! The names of exceptions: those of the model of ECR, and those that every service of AWS has.

use super::super::words::words;

words! {
    pub enum Exception {
        BlockedByOrganizationPolicy = "BlockedByOrganizationPolicyException",
        EmptyUpload = "EmptyUploadException",
        ExclusionAlreadyExists = "ExclusionAlreadyExistsException",
        ExclusionNotFound = "ExclusionNotFoundException",
        ImageAlreadyExists = "ImageAlreadyExistsException",
        ImageArchived = "ImageArchivedException",
        ImageDigestDoesNotMatch = "ImageDigestDoesNotMatchException",
        ImageNotFound = "ImageNotFoundException",
        ImageStorageClassUpdateNotSupported = "ImageStorageClassUpdateNotSupportedException",
        ImageTagAlreadyExists = "ImageTagAlreadyExistsException",
        InvalidLayer = "InvalidLayerException",
        InvalidLayerPart = "InvalidLayerPartException",
        InvalidParameter = "InvalidParameterException",
        InvalidTagParameter = "InvalidTagParameterException",
        Kms = "KmsException",
        LayerAlreadyExists = "LayerAlreadyExistsException",
        LayerInaccessible = "LayerInaccessibleException",
        LayerPartTooSmall = "LayerPartTooSmallException",
        LayersNotFound = "LayersNotFoundException",
        LifecyclePolicyNotFound = "LifecyclePolicyNotFoundException",
        LifecyclePolicyPreviewInProgress = "LifecyclePolicyPreviewInProgressException",
        LifecyclePolicyPreviewNotFound = "LifecyclePolicyPreviewNotFoundException",
        LimitExceeded = "LimitExceededException",
        PullThroughCacheRuleAlreadyExists = "PullThroughCacheRuleAlreadyExistsException",
        PullThroughCacheRuleNotFound = "PullThroughCacheRuleNotFoundException",
        ReferencedImagesNotFound = "ReferencedImagesNotFoundException",
        RegistryPolicyNotFound = "RegistryPolicyNotFoundException",
        ReplicationBackfillInProgress = "ReplicationBackfillInProgressException",
        ReplicationBackfillInvalidStatus = "ReplicationBackfillInvalidStatusException",
        ReplicationBackfillNotFound = "ReplicationBackfillNotFoundException",
        RepositoryAlreadyExists = "RepositoryAlreadyExistsException",
        RepositoryNotEmpty = "RepositoryNotEmptyException",
        RepositoryNotFound = "RepositoryNotFoundException",
        RepositoryPolicyNotFound = "RepositoryPolicyNotFoundException",
        ScanNotFound = "ScanNotFoundException",
        SecretNotFound = "SecretNotFoundException",
        Server = "ServerException",
        SigningConfigurationNotFound = "SigningConfigurationNotFoundException",
        TemplateAlreadyExists = "TemplateAlreadyExistsException",
        TemplateNotFound = "TemplateNotFoundException",
        TooManyTags = "TooManyTagsException",
        UnableToAccessSecret = "UnableToAccessSecretException",
        UnableToDecryptSecretValue = "UnableToDecryptSecretValueException",
        UnableToGetUpstreamImage = "UnableToGetUpstreamImageException",
        UnableToGetUpstreamLayer = "UnableToGetUpstreamLayerException",
        UnableToListUpstreamImageReferrers = "UnableToListUpstreamImageReferrersException",
        UnsupportedImageType = "UnsupportedImageTypeException",
        UnsupportedUpstreamRegistry = "UnsupportedUpstreamRegistryException",
        UploadNotFound = "UploadNotFoundException",
        Validation = "ValidationException",

        AccessDenied = "AccessDeniedException",
        ExpiredToken = "ExpiredTokenException",
        IncompleteSignature = "IncompleteSignatureException",
        InvalidSignature = "InvalidSignatureException",
        MissingAuthenticationToken = "MissingAuthenticationTokenException",
        Serialization = "SerializationException",
        Throttling = "ThrottlingException",
        UnknownOperation = "UnknownOperationException",
        UnrecognizedClient = "UnrecognizedClientException",
        /// In no model: this registry knows the operation and does not offer it.
        UnsupportedOperation = "UnsupportedOperationException",
    }
}

impl Exception {
    /// The status of the HTTP response. Everything that a client could avoid is 400 in this protocol, a refusal too.
    pub const fn status(self) -> u16 {
        match self {
            Self::Server => 500,
            _ => 400,
        }
    }
}
