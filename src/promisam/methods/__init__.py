"""The methods. Each is one file; the dict below is all that makes one known to the rest."""

METHODS: dict[str, str] = {
    "imedsam": "promisam.methods.imedsam:IMedSam",
    "interactive": "promisam.methods.interactive:Interactive",
    "plain_sam": "promisam.methods.plain_sam:PlainSam",
    "promise2d": "promisam.methods.promise2d:ProMISe2D",
    "promise3d": "promisam.methods.promise3d:Promise3d",
    "sam_mpa": "promisam.methods.sam_mpa:SamMPA",
    "unet": "promisam.methods.unet:UNet",
}
