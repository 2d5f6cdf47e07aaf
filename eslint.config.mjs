import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["node_modules", ".parts", "exporter/dist", "dashboards/generated", "*.js", "*.mjs"] },
  ...tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      "@typescript-eslint/no-explicit-any": "error",
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/switch-exhaustiveness-check": "error",
      "@typescript-eslint/require-await": "off",
      // A component's constructor and resources registered for their effect are statements by design.
      "no-new": "off",
      eqeqeq: "error",
    },
  },
);
