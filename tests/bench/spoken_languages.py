"""What is said in the languages that the bench tries, by their codes, which are also those of espeak-ng's voices."""

LANGUAGES = {
    "de": (
        "Das Schiff hat den Hafen früh am Morgen verlassen.",
        "Meine Schwester arbeitet seit drei Jahren in einer Bäckerei.",
        "Im Sommer waren alle Fenster in der Straße offen.",
        "Der Arzt bat ihn, am Montag wieder zu kommen.",
        "Nach dem langen Regen war der Fluss sehr hoch.",
        "Wir haben hinter der alten Schule Apfelbäume gepflanzt.",
    ),
    "fr": (
        "Le bateau a quitté le port très tôt ce matin.",
        "Ma sœur travaille dans une boulangerie depuis trois ans.",
        "En été, toutes les fenêtres de la rue étaient ouvertes.",
        "Le médecin lui a demandé de revenir lundi.",
        "Après la longue pluie, la rivière était très haute.",
        "Nous avons planté des pommiers derrière la vieille école.",
    ),
    "es": (
        "El barco salió del puerto muy temprano por la mañana.",
        "Mi hermana trabaja en una panadería desde hace tres años.",
        "En verano todas las ventanas de la calle estaban abiertas.",
        "El médico le pidió que volviera el lunes.",
        "Después de la lluvia el río estaba muy alto.",
        "Hemos plantado manzanos detrás de la vieja escuela.",
    ),
}
